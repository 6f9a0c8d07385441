// Descriptor leases and time (T28): under the simulator, so that minutes pass at once.
#include <gtest/gtest.h>

#include "orrery/runtime/sim/simulator.h"
#include "orrery/sql/catalog/catalog.h"
#include "support/fake_kv.h"

namespace orrery::sql {
namespace {

using runtime::Context;

constexpr Duration kLease = 20s;

CreateTableCommand CreateT() {
  CreateTableCommand out;
  out.descriptor.name = "t";
  out.descriptor.columns = {{.id = 1, .name = "a", .type = oid::kInt4},
                            {.id = 2, .name = "rowid", .type = oid::kInt8, .not_null = true, .hidden = true}};
  out.descriptor.next_column_id = 3;
  out.descriptor.primary_key = {{.column_id = 2}};
  return out;
}

// Nodes with a catalog each over one database whose clock is the simulation's.
class LeaseRenewal : public testing::Test {
 protected:
  void Run(const std::function<Status(const Context&)>& body) {
    const Status status = sim_.Run([&](const Context& context) -> Status {
      db_ = kv::MakeFakeDatabase([&context] { return context.runtime().clock().WallNowNs(); });
      return body(context);
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  std::unique_ptr<Catalog> StartCatalog(const Context& context, uint64_t node) {
    auto catalog = NewCatalog(context, *db_, {.node = NodeId(node), .lease_duration = kLease, .drain_timeout = 90s});
    EXPECT_TRUE(catalog->Start(context).ok());
    return catalog;
  }
  struct Session {
    std::unique_ptr<CatalogTxn> catalog;
    std::unique_ptr<kv::Txn> txn;
  };
  Session Begin(Catalog& catalog) {
    Session out{catalog.BeginTxn(), db_->Begin({})};
    out.catalog->SetTxn(out.txn.get());
    return out;
  }
  static Status Commit(const Context& context, Session& session) {
    session.txn->LimitCommit(session.catalog->CommitDeadline());
    RETURN_IF_ERROR(session.txn->Commit(context));
    session.catalog->OnCommitted(context);
    return OkStatus();
  }
  Status RunDdl(const Context& context, Catalog& catalog, const DdlCommand& command) {
    Session session = Begin(catalog);
    DdlResult result;
    RETURN_IF_ERROR(session.catalog->RunDdl(context, command, result));
    return Commit(context, session);
  }
  // A transaction that has used the table and written something.
  StatusOr<Session> Use(const Context& context, Catalog& catalog) {
    Session session = Begin(catalog);
    ASSIGN_OR_RETURN(const TableUse use, session.catalog->FindTable(context, "", "t"));
    if (!use.table) return NotFoundError("no table");
    kv::Batch batch;
    batch.Put("row", "1");
    RETURN_IF_ERROR(session.txn->Run(context, batch));
    return session;
  }
  static void Sleep(const Context& context, Duration time) {
    (void)context.runtime().scheduler().SleepFor(context, time).ok();
  }

  runtime::Simulator sim_{1, {}};
  std::unique_ptr<kv::Database> db_;
};

// One statement, a COPY say, may take longer than the lease: nothing asks for the table meanwhile.
TEST_F(LeaseRenewal, AStatementMayBeLongerThanTheLease) {
  Run([&](const Context& context) -> Status {
    const auto catalog = StartCatalog(context, 1);
    RETURN_IF_ERROR(RunDdl(context, *catalog, CreateT()));
    ASSIGN_OR_RETURN(Session session, Use(context, *catalog));
    for (int i = 0; i < 20; ++i) {
      Sleep(context, kLease / 4);
      EXPECT_GT(session.catalog->CommitDeadline(), db_->Now()) << "after " << i + 1 << " quarters of a lease";
    }
    RETURN_IF_ERROR(Commit(context, session));
    catalog->Stop();
    return OkStatus();
  });
}

// A lease lives as long as its node: what a schema change waits for beyond that would never be heard of.
TEST_F(LeaseRenewal, TheLeaseOfANodeThatIsGoneEnds) {
  Run([&](const Context& context) -> Status {
    auto gone = StartCatalog(context, 1);
    const auto other = StartCatalog(context, 2);
    RETURN_IF_ERROR(RunDdl(context, *gone, CreateT()));
    ASSIGN_OR_RETURN(Session session, Use(context, *gone));
    Sleep(context, 3 * kLease);
    const Timestamp deadline = session.catalog->CommitDeadline();
    gone->Stop();  // nobody renews it any more, and nobody answers for it
    const Timestamp begin = db_->Now();
    RETURN_IF_ERROR(RunDdl(context, *other, DropTablesCommand{{{"", "t"}}}));
    EXPECT_GE(db_->Now(), deadline) << "the table was dropped under its user";
    EXPECT_LT(db_->Now().wall_ns - begin.wall_ns, (kLease + 10s).count());
    EXPECT_FALSE(Commit(context, session).ok()) << "T28: beyond the end of the lease";
    session.catalog->OnRolledBack();
    other->Stop();
    return OkStatus();
  });
}

// Cached plans stay good on a node that does nothing for a while.
TEST_F(LeaseRenewal, AnIdleNodeKeepsItsTables) {
  Run([&](const Context& context) -> Status {
    const auto catalog = StartCatalog(context, 1);
    RETURN_IF_ERROR(RunDdl(context, *catalog, CreateT()));
    {
      ASSIGN_OR_RETURN(Session session, Use(context, *catalog));
      RETURN_IF_ERROR(Commit(context, session));
    }
    const uint64_t generation = catalog->generation();
    Sleep(context, 10 * kLease);
    EXPECT_EQ(catalog->generation(), generation);
    catalog->Stop();
    return OkStatus();
  });
}

}  // namespace
}  // namespace orrery::sql
