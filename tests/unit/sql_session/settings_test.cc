#include "sql/session/settings.h"

#include <gtest/gtest.h>

#include "sql/session/transaction.h"

namespace orrery::sql {
namespace {

using Scope = SettingScope;

TEST(SettingsTest, ValidatesAndPrintsAsPostgres) {
  Settings settings(nullptr);
  EXPECT_TRUE(settings.Set("Statement_Timeout", "90s", Scope::kSession).ok());
  EXPECT_EQ(settings.Get("statement_timeout"), "90s");
  EXPECT_EQ(settings.hot().statement_timeout, 90s);
  EXPECT_TRUE(settings.Set("statement_timeout", "60000", Scope::kSession).ok());
  EXPECT_EQ(settings.Get("statement_timeout"), "1min");
  EXPECT_EQ(settings.Set("statement_timeout", "-1", Scope::kSession).message(),
            "-1 ms is outside the valid range for parameter \"statement_timeout\" (0 .. 2147483647)");
  EXPECT_EQ(settings.Set("bytea_output", "x", Scope::kSession).message(),
            "invalid value for parameter \"bytea_output\": \"x\"");
  EXPECT_EQ(settings.Set("nonsense", "1", Scope::kSession).sqlstate(), "42704");
  EXPECT_EQ(settings.Set("server_version", "1", Scope::kSession).sqlstate(), "55P02");
  EXPECT_EQ(settings.Set("jit", "maybe", Scope::kSession).message(), "parameter \"jit\" requires a Boolean value");
  EXPECT_TRUE(settings.Set("my.own", "v", Scope::kSession).ok());
  EXPECT_EQ(settings.Get("my.own"), "v");
  EXPECT_TRUE(settings.Set("datestyle", "iso, dmy", Scope::kSession).ok());
  EXPECT_EQ(settings.Get("DateStyle"), "ISO, DMY");
  EXPECT_EQ(settings.hot().format.date_order, DateOrder::kDmy);
}

TEST(SettingsTest, RollbackUndoesAndLocalEndsWithTheTransaction) {
  Settings settings(nullptr);
  settings.BeginTransaction();
  ASSERT_TRUE(settings.Set("work_mem", "8MB", Scope::kSession).ok());
  ASSERT_TRUE(settings.Set("lock_timeout", "5", Scope::kLocal).ok());
  EXPECT_EQ(settings.Get("lock_timeout"), "5ms");
  settings.EndTransaction(true);
  EXPECT_EQ(settings.Get("work_mem"), "8MB");
  EXPECT_EQ(settings.Get("lock_timeout"), "0");
  settings.BeginTransaction();
  ASSERT_TRUE(settings.Set("work_mem", "16MB", Scope::kSession).ok());
  auto savepoint = settings.CreateSavepoint();
  ASSERT_TRUE(settings.Set("work_mem", "32MB", Scope::kSession).ok());
  settings.RollbackTo(*savepoint);
  EXPECT_EQ(settings.Get("work_mem"), "16MB");
  settings.EndTransaction(false);
  EXPECT_EQ(settings.Get("work_mem"), "8MB");
  EXPECT_TRUE(settings.Reset("work_mem").ok());
  EXPECT_EQ(settings.Get("work_mem"), "4MB");
}

TEST(SettingsTest, ReportsOnlyWhatChanged) {
  Settings settings(nullptr);
  EXPECT_EQ(settings.TakeReported().size(), 13u);  // interfaces.md 1d
  EXPECT_TRUE(settings.TakeReported().empty());
  ASSERT_TRUE(settings.Set("application_name", "tést", Scope::kSession).ok());
  auto changed = settings.TakeReported();
  ASSERT_EQ(changed.size(), 1u);
  EXPECT_EQ(changed[0].second, "t??st");
}

TEST(SessionTransactionTest, StatesOfABlock) {
  SessionTransaction t;
  EXPECT_EQ(t.status(), TransactionStatus::kIdle);
  t.Begin(kv::IsolationLevel::kSerializable, false, 0, SessionTransaction::State::kBlock);
  EXPECT_EQ(t.status(), TransactionStatus::kInBlock);
  t.savepoints.push_back({.name = "a"});
  t.savepoints.push_back({.name = "b"});
  t.savepoints.push_back({.name = "a"});
  EXPECT_EQ(t.FindSavepoint("a"), 2);
  EXPECT_EQ(t.FindSavepoint("c"), -1);
  t.BecomeFailed();
  EXPECT_EQ(t.status(), TransactionStatus::kFailed);
  t.Recover();
  EXPECT_EQ(t.status(), TransactionStatus::kInBlock);
  t.Clear();
  EXPECT_EQ(t.status(), TransactionStatus::kIdle);
}

}  // namespace
}  // namespace orrery::sql
