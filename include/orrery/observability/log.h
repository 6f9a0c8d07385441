// Log: one line an event: time (RFC 3339, UTC, microseconds), level, node, event name and key=value tags, as
// text or JSON. The event name is constant text, searchable in the sources; what varies is in the tags.
// A Logger belongs to a node (no global log) and is passed down. Thread-safe.
//
//   log.Info("lease acquired", {{"range", range_id}, {"sequence", sequence}});
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/ids.h"
#include "orrery/base/status.h"
#include "orrery/base/status_or.h"
#include "orrery/runtime/clock.h"

namespace orrery::observability {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError, kOff };
enum class LogFormat : uint8_t { kText, kJson };
StatusOr<LogLevel> ParseLogLevel(std::string_view name);    // debug, info, warning, error, off
StatusOr<LogFormat> ParseLogFormat(std::string_view name);  // text, json

// One key and its value; numbers and booleans stay such in JSON.
struct LogTag {
  LogTag(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogTag(std::string_view k, const char* v) : key(k), value(v) {}
  LogTag(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogTag(std::string_view k, const Status& v) : key(k), value(v.ToString()) {}
  LogTag(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), is_literal(true) {}
  template <std::integral T>
  LogTag(std::string_view k, T v) : key(k), value(std::to_string(v)), is_literal(true) {}
  template <class Tag>
  LogTag(std::string_view k, StrongId<Tag> v) : key(k), value(std::to_string(v.value())), is_literal(true) {}

  std::string key;
  std::string value;
  bool is_literal = false;  // written without quotes in JSON
};

// Where finished lines go (without the newline). Thread-safe implementations.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Write(LogLevel level, std::string_view line) = 0;
  virtual void Flush() {}
};

std::unique_ptr<LogSink> NewStderrSink();
// Appends to a file, rotating it at `bytes_max` and keeping `file_count_max` old ones ("name.1.log" …).
StatusOr<std::unique_ptr<LogSink>> NewFileSink(std::string_view path, uint64_t bytes_max, uint32_t file_count_max);
// For tests and simulations: hands each line to `write`.
std::unique_ptr<LogSink> NewCallbackSink(std::function<void(LogLevel, std::string_view)> write);

class Logger {
 public:
  // `clock` (whose wall time stamps the lines) and `sink` outlive the logger.
  Logger(runtime::Clock& clock, LogSink& sink, LogFormat format, LogLevel level)
      : clock_(clock), sink_(sink), format_(format), level_(level) {}

  void SetNode(NodeId node) { node_.store(node.value(), std::memory_order_relaxed); }  // once it is known
  void SetLevel(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  bool Enabled(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }

  using Tags = std::initializer_list<LogTag>;
  void Debug(std::string_view event, Tags tags = {}) { Log(LogLevel::kDebug, event, tags); }
  void Info(std::string_view event, Tags tags = {}) { Log(LogLevel::kInfo, event, tags); }
  void Warning(std::string_view event, Tags tags = {}) { Log(LogLevel::kWarning, event, tags); }
  void Error(std::string_view event, Tags tags = {}) { Log(LogLevel::kError, event, tags); }
  void Log(LogLevel level, std::string_view event, Tags tags);

 private:
  runtime::Clock& clock_;
  LogSink& sink_;
  const LogFormat format_;
  std::atomic<LogLevel> level_;
  std::atomic<uint64_t> node_{0};
};

}  // namespace orrery::observability
