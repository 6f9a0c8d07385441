// The sinks that write to the outside, through spdlog: the only file that knows it.
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <exception>
#include <string>

#include "orrery/observability/log.h"

namespace orrery::observability {
namespace {

// spdlog only carries finished lines: no pattern, no level filter, no registry.
class SpdlogSink final : public LogSink {
 public:
  explicit SpdlogSink(std::shared_ptr<spdlog::sinks::sink> sink) : logger_("orrery", std::move(sink)) {
    logger_.set_pattern("%v");
    logger_.set_level(spdlog::level::trace);
    logger_.flush_on(spdlog::level::warn);
    logger_.set_error_handler([](const std::string&) {});  // a full disk must not stop the node
  }
  void Write(LogLevel level, std::string_view line) override {
    logger_.log(level >= LogLevel::kWarning ? spdlog::level::warn : spdlog::level::info,
                spdlog::string_view_t(line.data(), line.size()));
  }
  void Flush() override { logger_.flush(); }

 private:
  spdlog::logger logger_;
};

}  // namespace

std::unique_ptr<LogSink> NewStderrSink() {
  return std::make_unique<SpdlogSink>(std::make_shared<spdlog::sinks::stderr_sink_mt>());
}

StatusOr<std::unique_ptr<LogSink>> NewFileSink(std::string_view path, uint64_t bytes_max, uint32_t file_count_max) {
  try {
    return std::unique_ptr<LogSink>(std::make_unique<SpdlogSink>(
        std::make_shared<spdlog::sinks::rotating_file_sink_mt>(std::string(path), bytes_max, file_count_max)));
  } catch (const std::exception& e) {
    return FailedPreconditionError("opening log file " + std::string(path) + ": " + e.what());
  }
}

}  // namespace orrery::observability
