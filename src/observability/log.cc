#include "orrery/observability/log.h"

#include <cstdio>

namespace orrery::observability {
namespace {

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarning: return "warning";
    case LogLevel::kError: return "error";
    case LogLevel::kOff: return "off";
  }
  return "off";
}

void AppendDigits(std::string& out, uint64_t value, int width) {
  char digits[20];
  for (int i = width; i-- > 0; value /= 10) digits[i] = char('0' + value % 10);
  out.append(digits, size_t(width));
}

// RFC 3339. The date from days by Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms" (civil_from_days).
void AppendTime(std::string& out, int64_t wall_ns) {
  const int64_t us = wall_ns / 1000 - (wall_ns % 1000 < 0 ? 1 : 0);
  constexpr int64_t kDayUs = 86'400'000'000;
  const int64_t days = us / kDayUs - (us % kDayUs < 0 ? 1 : 0);
  const auto of_day = uint64_t(us - days * kDayUs);
  const int64_t z = days + 719'468;
  const int64_t era = (z >= 0 ? z : z - 146'096) / 146'097;
  const auto doe = uint64_t(z - era * 146'097);
  const uint64_t yoe = (doe - doe / 1'460 + doe / 36'524 - doe / 146'096) / 365;
  const uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const uint64_t mp = (5 * doy + 2) / 153;
  const uint64_t month = mp < 10 ? mp + 3 : mp - 9;
  const uint64_t year = yoe + uint64_t(era * 400) + (month <= 2 ? 1 : 0);
  AppendDigits(out, year, 4);
  out.push_back('-');
  AppendDigits(out, month, 2);
  out.push_back('-');
  AppendDigits(out, doy - (153 * mp + 2) / 5 + 1, 2);
  out.push_back('T');
  AppendDigits(out, of_day / 3'600'000'000, 2);
  out.push_back(':');
  AppendDigits(out, of_day / 60'000'000 % 60, 2);
  out.push_back(':');
  AppendDigits(out, of_day / 1'000'000 % 60, 2);
  out.push_back('.');
  AppendDigits(out, of_day % 1'000'000, 6);
  out.push_back('Z');
}

// A JSON string (RFC 8259). Bytes that are not UTF-8 pass as they are: a log shows what it was given.
void AppendQuoted(std::string& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          char escaped[8];
          std::snprintf(escaped, sizeof escaped, "\\u%04x", c);
          out += escaped;
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

bool NeedsQuotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value)
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\') return true;
  return false;
}

class CallbackSink final : public LogSink {
 public:
  explicit CallbackSink(std::function<void(LogLevel, std::string_view)> write) : write_(std::move(write)) {}
  void Write(LogLevel level, std::string_view line) override { write_(level, line); }

 private:
  std::function<void(LogLevel, std::string_view)> write_;
};

}  // namespace

StatusOr<LogLevel> ParseLogLevel(std::string_view name) {
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError, LogLevel::kOff})
    if (name == LevelName(level)) return level;
  return InvalidArgumentError("log level \"" + std::string(name) + "\" is not one of debug, info, warning, error, off");
}

StatusOr<LogFormat> ParseLogFormat(std::string_view name) {
  if (name == "text") return LogFormat::kText;
  if (name == "json") return LogFormat::kJson;
  return InvalidArgumentError("log format \"" + std::string(name) + "\" is not one of text, json");
}

std::unique_ptr<LogSink> NewCallbackSink(std::function<void(LogLevel, std::string_view)> write) {
  return std::make_unique<CallbackSink>(std::move(write));
}

void Logger::Log(LogLevel level, std::string_view event, Tags tags) {
  if (!Enabled(level) || level == LogLevel::kOff) return;
  const uint64_t node = node_.load(std::memory_order_relaxed);
  std::string line;
  line.reserve(160);
  if (format_ == LogFormat::kJson) {
    line += "{\"time\":\"";
    AppendTime(line, clock_.WallNowNs());
    line.append("\",\"level\":\"").append(LevelName(level)).append("\",\"node\":").append(std::to_string(node));
    line += ",\"event\":";
    AppendQuoted(line, event);
    for (const LogTag& tag : tags) {
      line.push_back(',');
      AppendQuoted(line, tag.key);
      line.push_back(':');
      if (tag.is_literal) line += tag.value;
      else AppendQuoted(line, tag.value);
    }
    line.push_back('}');
  } else {
    AppendTime(line, clock_.WallNowNs());
    line.append(" ").append(LevelName(level)).append(" n").append(std::to_string(node)).append(" ").append(event);
    for (const LogTag& tag : tags) {
      line.append(" ").append(tag.key).append("=");
      if (NeedsQuotes(tag.value)) AppendQuoted(line, tag.value);
      else line += tag.value;
    }
  }
  sink_.Write(level, line);
}

}  // namespace orrery::observability
