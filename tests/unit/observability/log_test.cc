#include "orrery/observability/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace orrery::observability {
namespace {

struct FixedClock final : runtime::Clock {
  MonoTime MonoNow() const override { return {}; }
  int64_t WallNowNs() const override { return wall_ns; }
  int64_t wall_ns = 1'709'210'096'123'456'789;  // 2024-02-29T12:34:56.123456789Z
};

class Log : public ::testing::Test {
 protected:
  std::string Line(LogFormat format, const std::function<void(Logger&)>& use) {
    std::string lines;
    const auto sink = NewCallbackSink([&](LogLevel, std::string_view line) { lines.append(line).append("|"); });
    Logger logger(clock_, *sink, format, LogLevel::kInfo);
    logger.SetNode(NodeId(3));
    use(logger);
    return lines;
  }
  FixedClock clock_;
};

TEST_F(Log, Text) {
  EXPECT_EQ(Line(LogFormat::kText,
                 [](Logger& l) {
                   l.Info("lease acquired", {{"range", RangeId(7)}, {"reason", "it was \"free\""}, {"by", "x"}});
                   l.Debug("not shown");
                 }),
            "2024-02-29T12:34:56.123456Z info n3 lease acquired range=7 reason=\"it was \\\"free\\\"\" by=x|");
}

TEST_F(Log, JsonKeepsTypesAndEscapes) {
  EXPECT_EQ(Line(LogFormat::kJson,
                 [](Logger& l) {
                   l.Error("failed", {{"n", -5}, {"ok", false}, {"text", "a\n\x01"}, {"status", AbortedError("x")}});
                 }),
            "{\"time\":\"2024-02-29T12:34:56.123456Z\",\"level\":\"error\",\"node\":3,\"event\":\"failed\","
            "\"n\":-5,\"ok\":false,\"text\":\"a\\n\\u0001\",\"status\":\"" +
                AbortedError("x").ToString() + "\"}|");
}

TEST_F(Log, TimesBeforeTheEpochAndAtYearEnds) {
  clock_.wall_ns = -1;
  EXPECT_EQ(Line(LogFormat::kText, [](Logger& l) { l.Info("e"); }), "1969-12-31T23:59:59.999999Z info n3 e|");
  clock_.wall_ns = 1'767'225'600'000'000'000;
  EXPECT_EQ(Line(LogFormat::kText, [](Logger& l) { l.Info("e"); }), "2026-01-01T00:00:00.000000Z info n3 e|");
}

TEST_F(Log, LevelsAndFormatsByName) {
  EXPECT_EQ(*ParseLogLevel("warning"), LogLevel::kWarning);
  EXPECT_EQ(ParseLogLevel("loud").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(*ParseLogFormat("json"), LogFormat::kJson);
  EXPECT_FALSE(ParseLogFormat("xml").ok());
}

TEST_F(Log, FileSinkWritesLinesAsTheyAre) {
  const std::string path = "/tmp/orrery_log_" + std::to_string(::getpid()) + ".log";
  {
    auto sink = NewFileSink(path, 1 << 20, 2);
    ASSERT_TRUE(sink.ok()) << sink.status().ToString();
    Logger logger(clock_, **sink, LogFormat::kText, LogLevel::kInfo);
    logger.Info("braces {} and %v stay", {{"k", 1}});
    (*sink)->Flush();
  }
  std::stringstream contents;
  contents << std::ifstream(path).rdbuf();
  EXPECT_EQ(contents.str(), "2024-02-29T12:34:56.123456Z info n0 braces {} and %v stay k=1\n");
  std::remove(path.c_str());
  EXPECT_FALSE(NewFileSink("/proc/none/x.log", 1, 1).ok());
}

}  // namespace
}  // namespace orrery::observability
