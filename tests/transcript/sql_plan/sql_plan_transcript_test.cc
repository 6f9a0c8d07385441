// Transcripts of plans: what the optimizer makes of a statement. Every file starts on an empty catalog.
//
//   ddl       runs CREATE TABLE, ALTER TABLE …; prints "ok" or the error
//   plan      prints EXPLAIN (COSTS OFF) of the statement, marked "direct" if it has no operator tree,
//             and if its DO UPDATE need not look at the row
#include <gtest/gtest.h>

#include <memory>

#include "orrery/runtime/threads_runtime.h"
#include "orrery/sql/binder/binder.h"
#include "orrery/sql/optimizer/optimizer.h"
#include "orrery/sql/parser/parser.h"
#include "support/fake_kv.h"
#include "support/transcript.h"

namespace orrery::sql {
namespace {

class Planner {
 public:
  Planner() { EXPECT_TRUE(catalog_->Start(context_).ok()); }
  ~Planner() { catalog_->Stop(); }

  std::string Handle(const transcript::Command& command) {
    if (command.name == "ddl") return Show(Ddl(command.input));
    if (command.name == "plan") return Plan(command.input);
    return "unknown command " + command.name;
  }

 private:
  static std::string Show(const Status& status) {
    return status.ok() ? "ok\n" : std::string(status.sqlstate()) + " " + std::string(status.message()) + "\n";
  }
  StatusOr<BoundStatement> Bind(CatalogTxn& txn, std::string_view sql) {
    ASSIGN_OR_RETURN(const std::vector<ParsedStatement> parsed, Parse(sql));
    Binder binder({*functions_, txn, format_});
    return binder.Bind(context_, parsed.at(0));
  }
  Status Ddl(std::string_view sql) {
    auto catalog_txn = catalog_->BeginTxn();
    auto txn = db_->Begin({});
    catalog_txn->SetTxn(txn.get());
    ASSIGN_OR_RETURN(const BoundStatement bound, Bind(*catalog_txn, sql));
    const auto* ddl = std::get_if<BoundDdl>(&bound.node);
    if (!ddl) return InvalidArgumentError("not a schema change");
    DdlResult result;
    RETURN_IF_ERROR(catalog_txn->RunDdl(context_, ddl->command, result));
    RETURN_IF_ERROR(txn->Commit(context_));
    catalog_txn->OnCommitted(context_);
    return OkStatus();
  }
  std::string Plan(std::string_view sql) {
    auto txn = catalog_->BeginTxn();
    auto bound = Bind(*txn, sql);
    if (!bound.ok()) return Show(bound.status());
    auto plan = Optimize(*bound, {*functions_});
    if (!plan.ok()) return Show(plan.status());
    std::string out = (*plan)->direct ? "direct" : "";
    if ((*plan)->root->kind == PhysicalKind::kPointInsert) {
      const auto& clause = (*plan)->root->As<PhysicalPointInsert>().on_conflict;
      if (clause && clause->replaces_row) out += ", replaces the row";
    }
    if (!out.empty()) out += "\n";
    for (const std::string& line : ExplainPlan(**plan, {.costs = false})) out += line + "\n";
    return out;
  }

  std::unique_ptr<runtime::ThreadsRuntime> runtime_ = runtime::ThreadsRuntime::Create();
  runtime::Context context_{*runtime_};
  std::unique_ptr<kv::Database> db_ = kv::MakeFakeDatabase();
  std::shared_ptr<const FunctionCatalog> functions_ = BuildFunctionCatalog();
  FormatContext format_;
  std::unique_ptr<Catalog> catalog_ = NewCatalog(context_, *db_, {.node = NodeId(1)});
};

TEST(SqlPlanTranscript, All) {
  transcript::RunFolder(ORRERY_TESTDATA, [] {
    auto planner = std::make_shared<Planner>();
    return [planner](const transcript::Command& command) { return planner->Handle(command); };
  });
}

}  // namespace
}  // namespace orrery::sql
