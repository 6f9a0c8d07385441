#include "sql/session/settings.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <span>

namespace orrery::sql {
namespace {

std::string_view Trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

const SettingDefinition* Find(std::string_view lower) {
  for (const SettingDefinition& d : SettingDefinitions()) {
    if (d.name.size() == lower.size() && ToLower(d.name) == lower) return &d;
  }
  return nullptr;
}

Status InvalidValue(std::string_view name, std::string_view value) {
  return {Code::kInvalidArgument, "22023",
          "invalid value for parameter \"" + std::string(name) + "\": \"" + std::string(value) + "\""};
}
Status Unrecognized(std::string_view name) {
  return {Code::kNotFound, "42704", "unrecognized configuration parameter \"" + std::string(name) + "\""};
}
Status CannotChange(const SettingDefinition& d) {
  return {Code::kInvalidArgument, "55P02", "parameter \"" + std::string(d.name) + "\" cannot be changed"};
}

struct Unit {
  std::string_view name;
  double factor;
};
constexpr Unit kTimeUnits[] = {{"us", 0.001}, {"ms", 1}, {"s", 1e3}, {"min", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}};
constexpr Unit kByteUnits[] = {{"B", 1.0 / 1024}, {"kB", 1}, {"MB", 1 << 10}, {"GB", 1 << 20}, {"TB", 1 << 30}};

// A number with an optional unit, in milliseconds or kilobytes.
std::optional<double> ParseQuantity(std::string_view text, std::span<const Unit> units) {
  std::string owned(Trim(text));
  char* end = nullptr;
  double number = std::strtod(owned.c_str(), &end);
  if (end == owned.c_str() || !std::isfinite(number)) return std::nullopt;
  std::string_view unit = Trim(std::string_view(end));
  if (unit.empty()) return number;
  for (const Unit& u : units) {
    if (u.name == unit) return number * u.factor;
  }
  return std::nullopt;
}

// As SHOW prints it: in the largest unit that divides it.
std::string PrintQuantity(double value, std::span<const Unit> units) {
  for (size_t i = units.size(); value > 0 && i-- > 0;) {
    double in_unit = value / units[i].factor;
    if (in_unit >= 1 && in_unit == std::floor(in_unit)) {
      return std::to_string(int64_t(in_unit)) + std::string(units[i].name);
    }
  }
  return std::to_string(int64_t(value));
}

// The elements of a comma-separated list; identifiers may be quoted.
std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> items(1);
  bool quoted = false;
  for (char c : text) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      items.emplace_back();
    } else if (quoted || (c != ' ' && c != '\t')) {
      items.back() += c;
    }
  }
  std::erase_if(items, [](const std::string& s) { return s.empty(); });
  return items;
}

StatusOr<std::string> CanonicalDateStyle(std::string_view value, std::string_view current) {
  std::string order(current.size() >= 3 ? current.substr(current.size() - 3) : "MDY");
  for (const std::string& item : SplitList(value)) {
    std::string word = ToLower(item);
    if (word == "iso") continue;
    if (word == "mdy" || word == "us" || word == "default" || word.starts_with("noneuro")) {
      order = "MDY";
    } else if (word == "dmy" || word.starts_with("euro")) {
      order = "DMY";
    } else if (word == "ymd") {
      order = "YMD";
    } else if (word == "sql" || word == "postgres" || word == "german") {
      return UnsupportedError("DateStyle " + word);
    } else {
      return InvalidValue("DateStyle", value);
    }
  }
  return "ISO, " + order;
}

// PostgreSQL's other encodings (documentation, table 24.1), in lower case and without punctuation.
bool IsEncoding(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "sqlascii", "latin1",  "latin2",  "latin3",   "latin4",   "latin5",   "latin6",   "latin7",   "latin8",
      "latin9",   "latin10", "big5",    "euccn",    "eucjp",    "eucjis2004", "euckr",  "euctw",    "gb18030",
      "gbk",      "johab",   "koi8",    "koi8r",    "koi8u",    "muleinternal", "sjis", "shiftjis2004", "uhc",
      "win866",   "win874",  "win1250", "win1251",  "win1252",  "win1253",  "win1254",  "win1255",  "win1256",
      "win1257",  "win1258", "iso88591", "iso88595", "iso88596", "iso88597", "iso88598", "iso885915"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

// A number of hours east of Greenwich, as SET TIME ZONE takes it: the POSIX zone that PostgreSQL names it by.
std::optional<std::string> ZoneOfHours(std::string_view text) {
  const std::string owned(Trim(text));
  char* end = nullptr;
  const double hours = std::strtod(owned.c_str(), &end);
  if (owned.empty() || *end != '\0' || !std::isfinite(hours) || std::fabs(hours) > 24) return std::nullopt;
  const int64_t seconds = int64_t(hours * 3600);
  const auto print = [&](int64_t value) {
    const int64_t size = std::abs(value);
    const auto two = [](int64_t n) { return std::string(n < 10 ? "0" : "") + std::to_string(n); };
    std::string out = (value < 0 ? "-" : "+") + two(size / 3600);
    if (size % 3600 != 0) out += ":" + two(size % 3600 / 60);
    if (size % 60 != 0) out += ":" + two(size % 60);
    return out;
  };
  return "<" + print(seconds) + ">" + print(-seconds);
}

}  // namespace

std::string ToLower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
  return out;
}

std::optional<bool> ParseBoolSetting(std::string_view text) {
  std::string v = ToLower(Trim(text));
  auto abbreviates = [&](std::string_view word, size_t least) { return v.size() >= least && word.starts_with(v); };
  if (abbreviates("true", 1) || abbreviates("yes", 1) || v == "on" || v == "1") return true;
  if (abbreviates("false", 1) || abbreviates("no", 1) || abbreviates("off", 2) || v == "0") return false;
  return std::nullopt;
}

std::optional<kv::IsolationLevel> ParseIsolation(std::string_view text) {
  std::string v = ToLower(Trim(text));
  if (v == "read committed" || v == "read uncommitted") return kv::IsolationLevel::kReadCommitted;
  if (v == "repeatable read") return kv::IsolationLevel::kRepeatableRead;
  if (v == "serializable") return kv::IsolationLevel::kSerializable;
  return std::nullopt;
}
std::string_view IsolationName(kv::IsolationLevel level) {
  switch (level) {
    case kv::IsolationLevel::kReadCommitted: return "read committed";
    case kv::IsolationLevel::kRepeatableRead: return "repeatable read";
    case kv::IsolationLevel::kSerializable: return "serializable";
  }
  return "";
}

std::string_view IsolationName(std::string_view words) {
  if (ToLower(Trim(words)) == "read uncommitted") return "read uncommitted";
  return IsolationName(ParseIsolation(words).value_or(kv::IsolationLevel::kReadCommitted));
}

Settings::Settings(const TimeZoneDatabase* time_zones) : time_zones_(time_zones) { Changed(); }

StatusOr<std::string> Settings::ValidateNumber(const SettingDefinition& d, std::string_view value) const {
  std::span<const Unit> units;
  std::string_view unit_name = "";
  if (d.kind == SettingDefinition::Kind::kDuration) {
    units = kTimeUnits;
    unit_name = " ms";
  }
  if (d.kind == SettingDefinition::Kind::kBytes) {
    units = kByteUnits;
    unit_name = " kB";
  }
  auto number = ParseQuantity(value, units);
  if (!number) return InvalidValue(d.name, value);
  if (d.kind == SettingDefinition::Kind::kReal) return std::string(Trim(value));
  *number = std::nearbyint(*number);
  if (*number < d.min || *number > d.max) {
    auto print = [](double n) { return std::to_string(int64_t(n)); };
    return Status(Code::kInvalidArgument, "22023",
                  print(*number) + std::string(unit_name) + " is outside the valid range for parameter \"" +
                      std::string(d.name) + "\" (" + print(d.min) + " .. " + print(d.max) + ")");
  }
  return units.empty() ? std::to_string(int64_t(*number)) : PrintQuantity(*number, units);
}

StatusOr<std::string> Settings::ValidateString(const SettingDefinition& d, std::string_view value) const {
  if (d.name == "DateStyle") return CanonicalDateStyle(value, Get("datestyle").value_or(""));
  if (d.name == "transaction_isolation") {
    auto level = ParseIsolation(value);
    if (!level) return InvalidValue(d.name, value);
    return std::string(IsolationName(*level));
  }
  if (d.name == "TimeZone") {
    if (ToLower(value) == "utc" && time_zones_ == nullptr) return std::string("UTC");
    if (time_zones_ == nullptr) return InvalidValue(d.name, value);
    auto zone = time_zones_->Find(ZoneOfHours(value).value_or(std::string(value)));
    if (!zone.ok()) return InvalidValue(d.name, value);
    return (*zone)->name();
  }
  if (d.name == "client_encoding") {
    std::string v = ToLower(Trim(value));
    std::erase_if(v, [](char c) { return c == '-' || c == '_'; });
    if (v == "utf8" || v == "unicode") return std::string("UTF8");
    if (!IsEncoding(v)) return InvalidValue(d.name, value);
    return UnsupportedError("client_encoding " + std::string(value));
  }
  if (d.name == "application_name") {
    std::string printable(value.substr(0, 63));
    for (char& c : printable) c = c < 32 || c > 126 ? '?' : c;
    return printable;
  }
  return std::string(value);
}

StatusOr<std::string> Settings::Validate(const SettingDefinition& d, std::string_view value) const {
  using Kind = SettingDefinition::Kind;
  switch (d.kind) {
    case Kind::kBool: {
      auto parsed = ParseBoolSetting(value);
      if (!parsed) {
        return Status(Code::kInvalidArgument, "22023",
                      "parameter \"" + std::string(d.name) + "\" requires a Boolean value");
      }
      if (d.name == "standard_conforming_strings" && !*parsed) {
        return UnsupportedError("standard_conforming_strings = off");
      }
      return std::string(*parsed ? "on" : "off");
    }
    case Kind::kInt:
    case Kind::kReal:
    case Kind::kDuration:
    case Kind::kBytes:
      return ValidateNumber(d, value);
    case Kind::kString:
      return ValidateString(d, value);
    case Kind::kEnum:
      break;
  }
  std::string lower = ToLower(Trim(value));
  std::string available;
  std::string_view rest = d.choices;
  while (!rest.empty()) {
    size_t bar = rest.find('|');
    std::string_view choice = rest.substr(0, bar);
    if (lower == choice) return lower;
    if (!available.empty()) available += ", ";
    available += choice;
    rest = bar == std::string_view::npos ? std::string_view() : rest.substr(bar + 1);
  }
  return InvalidValue(d.name, value).WithHint("Available values: " + available + ".");
}

Status Settings::Set(std::string_view name, std::string_view value, SettingScope scope) {
  std::string key = ToLower(name);
  const SettingDefinition* definition = Find(key);
  std::string canonical(value);
  if (definition == nullptr) {
    if (key.find('.') == std::string::npos) return Unrecognized(name);
  } else {
    if (definition->access == SettingDefinition::Access::kReadOnly) return CannotChange(*definition);
    ASSIGN_OR_RETURN(canonical, Validate(*definition, value));
  }
  if (scope == SettingScope::kLocal) {
    if (!in_transaction_) return OkStatus();
    local_[key] = canonical;
  } else {
    session_[key] = canonical;
    local_.erase(key);
  }
  Changed();
  return OkStatus();
}

Status Settings::SetDefault(std::string_view name, std::string_view value) {
  std::string key = ToLower(name);
  const SettingDefinition* definition = Find(key);
  if (definition == nullptr && key.find('.') == std::string::npos) return Unrecognized(name);
  std::string canonical(value);
  if (definition != nullptr) {
    ASSIGN_OR_RETURN(canonical, Validate(*definition, value));
  }
  defaults_[key] = canonical;
  Changed();
  return OkStatus();
}

Status Settings::Reset(std::string_view name) {
  std::string key = ToLower(name);
  const SettingDefinition* definition = Find(key);
  if (definition == nullptr && !session_.contains(key) && !local_.contains(key)) return Unrecognized(name);
  if (definition != nullptr && definition->access == SettingDefinition::Access::kReadOnly) {
    return CannotChange(*definition);
  }
  session_.erase(key);
  local_.erase(key);
  Changed();
  return OkStatus();
}

void Settings::ResetAll() {
  session_.clear();
  local_.clear();
  Changed();
}

std::optional<std::string> Settings::Get(std::string_view name) const {
  std::string key = ToLower(name);
  for (const Values* layer : {&local_, &session_, &defaults_}) {
    if (auto it = layer->find(key); it != layer->end()) return it->second;
  }
  const SettingDefinition* definition = Find(key);
  if (definition == nullptr) return std::nullopt;
  return std::string(definition->default_value);
}

std::string Settings::DisplayName(std::string_view name) {
  const SettingDefinition* definition = Find(ToLower(name));
  return std::string(definition ? definition->name : name);
}

std::vector<Settings::Row> Settings::All() const {
  std::vector<Row> rows;
  for (const SettingDefinition& d : SettingDefinitions()) {
    rows.push_back({std::string(d.name), Get(d.name).value_or(""), d.description});
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return ToLower(a.name) < ToLower(b.name); });
  return rows;
}

void Settings::BeginTransaction() {
  in_transaction_ = true;
  session_at_begin_ = session_;
}
void Settings::EndTransaction(bool committed) {
  if (!in_transaction_) return;
  in_transaction_ = false;
  bool changed = !local_.empty() || (!committed && session_ != session_at_begin_);
  local_.clear();
  if (!committed) session_ = session_at_begin_;
  if (changed) Changed();
}
std::shared_ptr<const Settings::Savepoint> Settings::CreateSavepoint() const {
  return std::make_shared<Savepoint>(Savepoint{session_, local_});
}
void Settings::RollbackTo(const Savepoint& savepoint) {
  session_ = savepoint.session;
  local_ = savepoint.local;
  Changed();
}

std::vector<std::pair<std::string, std::string>> Settings::TakeReported() {
  std::vector<std::pair<std::string, std::string>> changed;
  if (!report_pending_) return changed;
  report_pending_ = false;
  for (const SettingDefinition& d : SettingDefinitions()) {
    if (!d.reported) continue;
    std::string value = Get(d.name).value_or("");
    auto [it, inserted] = reported_.try_emplace(std::string(d.name), value);
    if (!inserted && it->second == value) continue;
    it->second = value;
    changed.emplace_back(d.name, value);
  }
  return changed;
}

void Settings::Changed() {
  report_pending_ = true;
  auto duration = [this](std::string_view name) {
    return Duration(int64_t(ParseQuantity(Get(name).value_or("0"), kTimeUnits).value_or(0) * 1e6));
  };
  hot_.statement_timeout = duration("statement_timeout");
  hot_.lock_timeout = duration("lock_timeout");
  hot_.idle_in_transaction_timeout = duration("idle_in_transaction_session_timeout");
  hot_.idle_session_timeout = duration("idle_session_timeout");
  hot_.default_isolation = ParseIsolation(Get("default_transaction_isolation").value_or(""))
                               .value_or(kv::IsolationLevel::kReadCommitted);
  hot_.default_read_only = Get("default_transaction_read_only") == "on";
  std::string level = Get("client_min_messages").value_or("notice");
  hot_.client_min_messages = level == "error"             ? Severity::kError
                             : level == "warning"         ? Severity::kWarning
                             : level.starts_with("debug") ? Severity::kDebug
                             : level == "log"             ? Severity::kLog
                                                          : Severity::kNotice;
  hot_.search_path.clear();
  for (std::string& schema : SplitList(Get("search_path").value_or(""))) {
    hot_.search_path.push_back(schema == "$user" ? Get("session_authorization").value_or("postgres") : schema);
  }
  RefreshFormat();
  hot_.plan_key = Get("search_path").value_or("") + '\0' + hot_.format.time_zone->name() + '\0' +
                  Get("datestyle").value_or("") + '\0' + Get("bytea_output").value_or("") + '\0' +
                  Get("extra_float_digits").value_or("");
}

void Settings::RefreshFormat() {
  FormatContext& format = hot_.format;
  format.time_zones = time_zones_;
  std::string zone = Get("timezone").value_or("UTC");
  if (format.time_zone->name() != zone) {
    format.time_zone = TimeZone::Utc();
    if (time_zones_ != nullptr) {
      auto found = time_zones_->Find(zone);
      if (found.ok()) format.time_zone = *found;
    }
  }
  std::string style = Get("datestyle").value_or("");
  format.date_order = style.ends_with("DMY")   ? DateOrder::kDmy
                      : style.ends_with("YMD") ? DateOrder::kYmd
                                               : DateOrder::kMdy;
  format.extra_float_digits = std::atoi(Get("extra_float_digits").value_or("1").c_str());
  format.bytea_output = Get("bytea_output") == "escape" ? ByteaOutput::kEscape : ByteaOutput::kHex;
}

}  // namespace orrery::sql
