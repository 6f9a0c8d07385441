// Plans made by hand, run over the fake database.
#include "orrery/sql/exec/executor.h"

#include <gtest/gtest.h>

#include "orrery/kv/api/errors.h"
#include "orrery/runtime/runtime.h"
#include "orrery/sql/exec/kv_errors.h"
#include "support/fake_kv.h"

namespace orrery::sql {
namespace {

class NoRuntime final : public runtime::Runtime {
 public:
  runtime::Clock& clock() override { std::abort(); }
  runtime::Random& random() override { std::abort(); }
  runtime::Scheduler& scheduler() override { std::abort(); }
  runtime::FileSystem& file_system() override { std::abort(); }
  runtime::Transport& transport() override { std::abort(); }
  runtime::Network& network() override { std::abort(); }
  runtime::ProbeRegistry& probes() override { std::abort(); }
};

class Rows final : public RowSink {
 public:
  Status Row(std::span<const Datum> values) override {
    for (const Datum& d : values) text += d.DebugString() + " ";
    text += "| ";
    return OkStatus();
  }
  Status CopyOut(std::string_view) override { return OkStatus(); }
  std::string text;
};

ExprPtr Parameter(uint32_t index, Oid type) {
  auto e = std::make_shared<Expr>();
  e->kind = Expr::Kind::kParameter;
  e->index = index;
  e->type = {type, -1};
  return e;
}
ExprPtr Slot(uint32_t index, Oid type) {
  auto e = std::make_shared<Expr>();
  e->kind = Expr::Kind::kSlot;
  e->index = index;
  e->type = {type, -1};
  return e;
}
ExprPtr Constant(Datum value, Oid type) {
  auto e = std::make_shared<Expr>();
  e->kind = Expr::Kind::kConstant;
  e->value = std::move(value);
  e->type = {type, -1};
  return e;
}

class ExecutorTest : public testing::Test {
 protected:
  ExecutorTest() {
    TableDescriptor d;
    d.id = DescriptorId(16384);
    d.schema = kPublicSchemaId;
    d.name = "t";
    d.columns = {{.id = 1, .name = "a", .type = oid::kInt4, .not_null = true},
                 {.id = 2, .name = "b", .type = oid::kText}};
    d.next_column_id = 3;
    d.primary_key_name = "t_pkey";
    d.primary_key = {{.column_id = 1}};
    d.storage = d.id;
    table_ = MakeTable(d, "public");
  }

  const Operator* Op(std::string_view name) { return functions_->ExactOperator(name, oid::kInt4, oid::kInt4); }
  ExprPtr Call(std::string_view name, ExprPtr left, ExprPtr right) {
    auto e = std::make_shared<Expr>();
    e->kind = Expr::Kind::kFunction;
    e->op = Op(name);
    e->function = e->op->function;
    e->type = {e->op->result, -1};
    e->args = {std::move(left), std::move(right)};
    return e;
  }
  static PhysicalPlanPtr Plan(PhysicalNodePtr root, size_t columns, bool read_only, bool direct) {
    auto plan = std::make_shared<PhysicalPlan>();
    plan->root = std::move(root);
    plan->result.resize(columns);
    plan->read_only = read_only;
    plan->direct = direct;
    return plan;
  }
  PhysicalNodePtr Scan(ExprPtr filter = nullptr) {
    auto scan = std::make_unique<PhysicalScan>();
    scan->table = table_;
    scan->ordinals = {0, 1};
    scan->filter = std::move(filter);
    scan->output = {{"a", {oid::kInt4, -1}}, {"b", {oid::kText, -1}}};
    return scan;
  }
  PhysicalPlanPtr InsertPlan(int from, int to, std::string_view text) {
    auto insert = std::make_unique<PhysicalPointInsert>();
    insert->table = table_;
    for (int i = from; i <= to; ++i) {
      insert->rows.push_back({Constant(Datum::Int(i), oid::kInt4), Constant(Datum::Bytes(text), oid::kText)});
    }
    return Plan(std::move(insert), 0, false, true);
  }

  // Runs and commits; what came out, or the error.
  std::string Run(const PhysicalPlanPtr& plan, std::vector<Datum> parameters = {}, uint64_t* count = nullptr) {
    auto txn = database_->Begin({});
    MemoryAccount memory(memory_limit_);
    ExecEnv env{.database = *database_, .txn = txn.get(), .eval = eval_, .parameters = parameters, .memory = memory,
                .next_row_id = [] { return int64_t{1}; }};
    Rows rows;
    Status status;
    RunResult result;
    if (plan->direct) {
      status = RunDirect(context_, *CompilePlan(plan), env, LastWrite::kLeaveOpen, rows, result);
    } else {
      Execution execution(CompilePlan(plan), env);
      status = execution.Run(context_, 0, rows);
      result.row_count = execution.row_count();
    }
    if (status.ok()) status = txn->Commit(context_);
    if (count) *count = result.row_count;
    last_ = status;
    return status.ok() ? rows.text : std::string(status.sqlstate());
  }

  NoRuntime runtime_;
  runtime::Context context_{runtime_};
  std::unique_ptr<kv::Database> database_ = kv::MakeFakeDatabase();
  std::shared_ptr<const FunctionCatalog> functions_ = BuildFunctionCatalog();
  TablePtr table_;
  EvalContext eval_;
  uint64_t memory_limit_ = 64 << 20;
  Status last_;
};

TEST_F(ExecutorTest, InsertThenReadByKeyAndByScan) {
  uint64_t count = 0;
  EXPECT_EQ(Run(InsertPlan(1, 3, "x"), {}, &count), "");
  EXPECT_EQ(count, 3u);
  auto get = std::make_unique<PhysicalPointGet>();
  get->table = table_;
  get->key = {Parameter(0, oid::kInt4)};
  get->exprs = {Slot(1, oid::kText), Slot(0, oid::kInt4)};
  auto plan = Plan(std::move(get), 2, true, true);
  EXPECT_EQ(Run(plan, {Datum::Int(2)}), "'x' 2 | ");
  EXPECT_EQ(Run(plan, {Datum::Int(9)}), "");
  EXPECT_EQ(Run(plan, {Datum::Null()}), "");
  EXPECT_EQ(Run(Plan(Scan(Call(">", Slot(0, oid::kInt4), Parameter(0, oid::kInt4))), 2, true, false),
                {Datum::Int(1)}),
            "2 'x' | 3 'x' | ");
}

TEST_F(ExecutorTest, DuplicateKeyNamesItsConstraint) {
  EXPECT_EQ(Run(InsertPlan(1, 1, "x")), "");
  EXPECT_EQ(Run(InsertPlan(1, 1, "y")), "23505");
  EXPECT_EQ(last_.message(), "duplicate key value violates unique constraint \"t_pkey\"");
  EXPECT_EQ(last_.fields().detail, "Key (a)=(1) already exists.");
  EXPECT_EQ(last_.fields().table, "t");
}

TEST_F(ExecutorTest, NotNullAndCheck) {
  auto insert = std::make_unique<PhysicalPointInsert>();
  insert->table = table_;
  insert->rows.push_back({Constant(Datum::Null(), oid::kInt4), Constant(Datum::Bytes("q"), oid::kText)});
  EXPECT_EQ(Run(Plan(std::move(insert), 0, false, true)), "23502");
  EXPECT_EQ(last_.fields().detail, "Failing row contains (null, q).");
  insert = std::make_unique<PhysicalPointInsert>();
  insert->table = table_;
  insert->rows.push_back({Constant(Datum::Int(5), oid::kInt4), Constant(Datum::Null(), oid::kText)});
  insert->checks.push_back({Call("<", Slot(0, oid::kInt4), Constant(Datum::Int(5), oid::kInt4)), "small"});
  EXPECT_EQ(Run(Plan(std::move(insert), 0, false, true)), "23514");
  EXPECT_EQ(last_.fields().constraint, "small");
}

TEST_F(ExecutorTest, ScanOfManyPagesAndLimit) {
  EXPECT_EQ(Run(InsertPlan(1, 5000, "a text longer than a datum keeps inside")), "");
  auto limit = std::make_unique<PhysicalLimit>();
  limit->output = Scan()->output;
  limit->inputs.push_back(Scan());
  limit->limit = Constant(Datum::Int(1), oid::kInt8);
  limit->offset = Constant(Datum::Int(4500), oid::kInt8);
  EXPECT_EQ(Run(Plan(std::move(limit), 2, true, false)), "4501 'a text longer than a datum keeps inside' | ");
}

TEST_F(ExecutorTest, UpdateOfTheKeyAndDelete) {
  EXPECT_EQ(Run(InsertPlan(1, 3, "x")), "");
  auto update = std::make_unique<PhysicalUpdate>();
  update->table = table_;
  update->changes_key = true;
  update->set = {{0, Call("+", Slot(0, oid::kInt4), Constant(Datum::Int(10), oid::kInt4))}};
  update->inputs.push_back(Scan());
  uint64_t count = 0;
  EXPECT_EQ(Run(Plan(std::move(update), 0, false, false), {}, &count), "");
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(Run(Plan(Scan(), 2, true, false)), "11 'x' | 12 'x' | 13 'x' | ");
  auto remove = std::make_unique<PhysicalDelete>();
  remove->table = table_;
  remove->inputs.push_back(Scan(Call("=", Slot(0, oid::kInt4), Constant(Datum::Int(12), oid::kInt4))));
  EXPECT_EQ(Run(Plan(std::move(remove), 0, false, false)), "");
  EXPECT_EQ(Run(Plan(Scan(), 2, true, false)), "11 'x' | 13 'x' | ");
}

TEST_F(ExecutorTest, SortBeyondItsMemoryFails) {
  EXPECT_EQ(Run(InsertPlan(1, 2000, "some text of more than sixteen bytes")), "");
  auto make = [&] {
    auto sort = std::make_unique<PhysicalSort>();
    sort->output = Scan()->output;
    sort->inputs.push_back(Scan());
    sort->keys = {{.expr = Slot(0, oid::kInt4), .direction = SortDirection::kDescending}};
    return sort;
  };
  memory_limit_ = 10'000;
  EXPECT_EQ(Run(Plan(make(), 2, true, false)), "53200");
  auto top = make();
  top->top = Constant(Datum::Int(2), oid::kInt8);
  memory_limit_ = 10'000;
  EXPECT_NE(Run(Plan(std::move(top), 2, true, false)), "53200");
}

// Semi and anti joins, NULL keys, and rows without partners, against every kind of join.
TEST_F(ExecutorTest, HashJoins) {
  auto values = [&](std::vector<std::optional<int>> numbers) {
    auto v = std::make_unique<PhysicalValues>();
    v->output = {{"n", {oid::kInt4, -1}}};
    for (auto n : numbers) v->rows.push_back({Constant(n ? Datum::Int(*n) : Datum::Null(), oid::kInt4)});
    return v;
  };
  auto join = [&](JoinType type) {
    auto j = std::make_unique<PhysicalHashJoin>();
    j->join = type;
    j->left_keys = {Slot(0, oid::kInt4)};
    j->right_keys = {Slot(0, oid::kInt4)};
    j->equals = {Op("=")->function};
    j->inputs.push_back(values({1, 2, std::nullopt}));
    j->inputs.push_back(values({2, 3, std::nullopt}));
    bool left_only = type == JoinType::kSemi || type == JoinType::kAnti;
    j->output.resize(left_only ? 1 : 2);
    return Run(Plan(std::move(j), left_only ? 1 : 2, true, false));
  };
  EXPECT_EQ(join(JoinType::kInner), "2 2 | ");
  EXPECT_EQ(join(JoinType::kLeft), "1 NULL | 2 2 | NULL NULL | ");
  EXPECT_EQ(join(JoinType::kRight), "2 2 | NULL 3 | NULL NULL | ");
  EXPECT_EQ(join(JoinType::kFull), "1 NULL | 2 2 | NULL NULL | NULL 3 | NULL NULL | ");
  EXPECT_EQ(join(JoinType::kSemi), "2 | ");
  EXPECT_EQ(join(JoinType::kAnti), "1 | NULL | ");
}

TEST(KvErrorsTest, OnePlaceGivesTheSqlStates) {
  auto retry = [](kv::RetryReason reason) {
    return ToSqlError(kv::ToStatus({.detail = kv::TxnRetryError{.reason = reason}}));
  };
  EXPECT_EQ(retry(kv::RetryReason::kWriteTooOld).sqlstate(), "40001");
  EXPECT_EQ(retry(kv::RetryReason::kDeadlock).sqlstate(), "40P01");
  EXPECT_TRUE(IsRetryable(retry(kv::RetryReason::kWriteTooOld)));
  EXPECT_EQ(ToSqlError(AmbiguousError("lost")).sqlstate(), "40003");
  EXPECT_EQ(ToSqlError(ToSqlError(AmbiguousError("lost"))).fields().detail, "lost");  // it was once more its own message
  EXPECT_EQ(ToSqlError(kv::ToStatus({.detail = kv::LockConflictError{}})).sqlstate(), "55P03");
  EXPECT_FALSE(IsRetryable(AmbiguousError("lost")));
}

}  // namespace
}  // namespace orrery::sql
