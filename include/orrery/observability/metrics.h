// Metrics: numbers a node shows to its operators, in Prometheus's text format (prometheus.io, "Exposition
// formats", version 0.0.4). The Registry belongs to the node and owns every metric; updating one is a relaxed
// atomic operation. Thread-safe.
//
// Names: orrery_<layer>_<what>[_unit][_total], lower case, base units (seconds, bytes).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "orrery/observability/histogram.h"

namespace orrery::observability {

class Counter {  // only grows
 public:
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {  // goes up and down
 public:
  void Set(int64_t v) { value_.store(v, std::memory_order_relaxed); }
  void Add(int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// What a histogram's recorded integers are, for the exposition.
enum class HistogramUnit { kNanoseconds /* shown as seconds */, kBytes, kCount };

using Labels = std::vector<std::pair<std::string, std::string>>;  // shown in the order given

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The metric of this name and these labels, made at the first call: keep the reference, it lives as long as
  // the registry. Asserts that a name keeps its kind. `help` of the first call counts.
  Counter& GetCounter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& GetGauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& GetHistogram(std::string_view name, std::string_view help, HistogramUnit unit,
                          const Labels& labels = {});
  // A gauge that is computed when it is read; `read` must be quick and outlive the registry's use.
  void AddCallbackGauge(std::string_view name, std::string_view help, std::function<double()> read,
                        const Labels& labels = {});

  // All metrics, sorted by name, then by labels in order of creation. Content type
  // "text/plain; version=0.0.4; charset=utf-8".
  std::string PrometheusText() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace orrery::observability
