#include "orrery/observability/metrics.h"

#include <cmath>
#include <cstdio>
#include <map>

#include "orrery/base/assert.h"
#include "orrery/runtime/sync.h"

namespace orrery::observability {
namespace {

enum class Kind { kCounter, kGauge, kHistogram, kCallbackGauge };

std::string_view TypeName(Kind kind) {
  switch (kind) {
    case Kind::kCounter: return "counter";
    case Kind::kHistogram: return "histogram";
    default: return "gauge";
  }
}

// Backslash and newline everywhere, double quotes in label values.
void AppendEscaped(std::string& out, std::string_view text, bool in_quotes) {
  for (const char c : text) {
    if (c == '\\') out += "\\\\";
    else if (c == '\n') out += "\\n";
    else if (c == '"' && in_quotes) out += "\\\"";
    else out.push_back(c);
  }
}

std::string LabelText(const Labels& labels) {
  std::string text;
  for (const auto& [key, value] : labels) {
    if (!text.empty()) text += ",";
    text.append(key).append("=\"");
    AppendEscaped(text, value, true);
    text += "\"";
  }
  return text;
}

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%.10g", value);
  return buffer;
}

struct Metric {
  std::string labels;  // without the braces
  Counter counter;
  Gauge gauge;
  std::unique_ptr<Histogram> histogram;
  std::function<double()> read;
};

struct Family {
  Kind kind;
  HistogramUnit unit = HistogramUnit::kCount;
  std::string help;
  std::vector<std::unique_ptr<Metric>> metrics;
};

void AppendLine(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels,
                std::string_view extra_label, std::string_view value) {
  out.append(name).append(suffix);
  if (!labels.empty() || !extra_label.empty()) {
    out.append("{").append(labels);
    if (!labels.empty() && !extra_label.empty()) out += ",";
    out.append(extra_label).append("}");
  }
  out.append(" ").append(value).append("\n");
}

// Bounds shown for a unit: powers of four between 1 µs and about a minute, 64 bytes and 1 GiB, 1 and 1 M.
struct Shown {
  uint64_t first;
  int count;
  double scale;
};
Shown ShownOf(HistogramUnit unit) {
  switch (unit) {
    case HistogramUnit::kNanoseconds: return {1'024, 14, 1e-9};
    case HistogramUnit::kBytes: return {64, 13, 1};
    case HistogramUnit::kCount: return {1, 11, 1};
  }
  return {1, 11, 1};
}

void AppendHistogram(std::string& out, std::string_view name, HistogramUnit unit, const Metric& metric) {
  const Histogram::Snapshot snapshot = metric.histogram->TakeSnapshot();
  const Shown shown = ShownOf(unit);
  uint64_t bound = shown.first;
  for (int i = 0; i < shown.count; ++i, bound *= 4) {
    // Buckets end one below a power of two, so this count is exact for "less than bound".
    const std::string le = "le=\"" + Number(double(bound) * shown.scale) + "\"";
    AppendLine(out, name, "_bucket", metric.labels, le, std::to_string(snapshot.CountUpTo(bound)));
  }
  AppendLine(out, name, "_bucket", metric.labels, "le=\"+Inf\"", std::to_string(snapshot.count));
  AppendLine(out, name, "_sum", metric.labels, "", Number(double(snapshot.sum) * shown.scale));
  AppendLine(out, name, "_count", metric.labels, "", std::to_string(snapshot.count));
}

}  // namespace

struct Registry::State {
  mutable runtime::Mutex mutex{"metrics_registry"};
  std::map<std::string, Family, std::less<>> families ABSL_GUARDED_BY(mutex);

  Metric& Get(std::string_view name, std::string_view help, Kind kind, HistogramUnit unit, const Labels& labels) {
    runtime::MutexLock lock(mutex);
    auto it = families.find(name);
    if (it == families.end()) {
      it = families.try_emplace(std::string(name)).first;
      it->second.kind = kind;
      it->second.unit = unit;
      it->second.help = help;
    }
    Family& family = it->second;
    ORRERY_ASSERT(family.kind == kind && family.unit == unit, "a metric's name keeps its kind");
    const std::string label_text = LabelText(labels);
    for (const auto& metric : family.metrics)
      if (metric->labels == label_text) return *metric;
    auto& metric = *family.metrics.emplace_back(std::make_unique<Metric>());
    metric.labels = label_text;
    if (kind == Kind::kHistogram) metric.histogram = std::make_unique<Histogram>();
    return metric;
  }
};

Registry::Registry() : state_(std::make_unique<State>()) {}
Registry::~Registry() = default;

Counter& Registry::GetCounter(std::string_view name, std::string_view help, const Labels& labels) {
  return state_->Get(name, help, Kind::kCounter, HistogramUnit::kCount, labels).counter;
}

Gauge& Registry::GetGauge(std::string_view name, std::string_view help, const Labels& labels) {
  return state_->Get(name, help, Kind::kGauge, HistogramUnit::kCount, labels).gauge;
}

Histogram& Registry::GetHistogram(std::string_view name, std::string_view help, HistogramUnit unit,
                                  const Labels& labels) {
  return *state_->Get(name, help, Kind::kHistogram, unit, labels).histogram;
}

void Registry::AddCallbackGauge(std::string_view name, std::string_view help, std::function<double()> read,
                                const Labels& labels) {
  Metric& metric = state_->Get(name, help, Kind::kCallbackGauge, HistogramUnit::kCount, labels);
  runtime::MutexLock lock(state_->mutex);
  metric.read = std::move(read);
}

std::string Registry::PrometheusText() const {
  std::string out;
  runtime::MutexLock lock(state_->mutex);
  for (const auto& [name, family] : state_->families) {
    out.append("# HELP ").append(name).append(" ");
    AppendEscaped(out, family.help, false);
    out.append("\n# TYPE ").append(name).append(" ").append(TypeName(family.kind)).append("\n");
    for (const auto& metric : family.metrics) {
      switch (family.kind) {
        case Kind::kCounter:
          AppendLine(out, name, "", metric->labels, "", std::to_string(metric->counter.value()));
          break;
        case Kind::kGauge:
          AppendLine(out, name, "", metric->labels, "", std::to_string(metric->gauge.value()));
          break;
        case Kind::kCallbackGauge:
          AppendLine(out, name, "", metric->labels, "", Number(metric->read ? metric->read() : 0));
          break;
        case Kind::kHistogram: AppendHistogram(out, name, family.unit, *metric); break;
      }
    }
  }
  return out;
}

}  // namespace orrery::observability
