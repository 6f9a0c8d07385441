#include "orrery/observability/metrics.h"

#include <gtest/gtest.h>

namespace orrery::observability {
namespace {

TEST(Metrics, PrometheusTextFormat) {
  Registry registry;
  registry.GetCounter("orrery_sql_statements_total", "Statements by kind.", {{"kind", "select"}}).Add(3);
  registry.GetCounter("orrery_sql_statements_total", "ignored", {{"kind", "in\"sert\\\n"}}).Add();
  registry.GetCounter("orrery_sql_statements_total", "ignored", {{"kind", "select"}}).Add();
  registry.GetGauge("orrery_kv_ranges", "Ranges\nhere.").Set(-2);
  registry.AddCallbackGauge("orrery_load", "Load.", [] { return 0.25; });
  EXPECT_EQ(registry.PrometheusText(),
            "# HELP orrery_kv_ranges Ranges\\nhere.\n"
            "# TYPE orrery_kv_ranges gauge\n"
            "orrery_kv_ranges -2\n"
            "# HELP orrery_load Load.\n"
            "# TYPE orrery_load gauge\n"
            "orrery_load 0.25\n"
            "# HELP orrery_sql_statements_total Statements by kind.\n"
            "# TYPE orrery_sql_statements_total counter\n"
            "orrery_sql_statements_total{kind=\"select\"} 4\n"
            "orrery_sql_statements_total{kind=\"in\\\"sert\\\\\\n\"} 1\n");
}

TEST(Metrics, HistogramsAreCumulativeAndInSeconds) {
  Registry registry;
  Histogram& h = registry.GetHistogram("orrery_rpc_seconds", "Calls.", HistogramUnit::kNanoseconds, {{"to", "2"}});
  h.Record(500);
  h.Record(2'000);
  h.Record(2'000'000'000);
  const std::string text = registry.PrometheusText();
  const auto has = [&](std::string_view line) { return text.find(line) != std::string::npos; };
  EXPECT_TRUE(has("# TYPE orrery_rpc_seconds histogram\n")) << text;
  EXPECT_TRUE(has("orrery_rpc_seconds_bucket{to=\"2\",le=\"1.024e-06\"} 1\n")) << text;
  EXPECT_TRUE(has("orrery_rpc_seconds_bucket{to=\"2\",le=\"4.096e-06\"} 2\n")) << text;
  EXPECT_TRUE(has("orrery_rpc_seconds_bucket{to=\"2\",le=\"+Inf\"} 3\n")) << text;
  EXPECT_TRUE(has("orrery_rpc_seconds_sum{to=\"2\"} 2.0000025\n")) << text;
  EXPECT_TRUE(has("orrery_rpc_seconds_count{to=\"2\"} 3\n")) << text;
}

TEST(MetricsDeathTest, NamesKeepTheirKind) {
  Registry registry;
  registry.GetCounter("orrery_x", "");
  EXPECT_DEATH(registry.GetGauge("orrery_x", ""), "keeps its kind");
}

}  // namespace
}  // namespace orrery::observability
