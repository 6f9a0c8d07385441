#include "orrery/sql/catalog/catalog.h"

#include <gtest/gtest.h>

#include "orrery/runtime/threads_runtime.h"
#include "support/fake_kv.h"
#include "sql/catalog/lease_manager.h"

namespace orrery::sql {
namespace {

class CatalogTest : public testing::Test {
 protected:
  CatalogTest() {
    catalog_ = NewCatalog(context_, *db_, {.node = NodeId(1), .drain_timeout = 50ms});
    EXPECT_TRUE(catalog_->Start(context_).ok());
  }
  ~CatalogTest() override { catalog_->Stop(); }

  // A table (a int not null, b text) keyed by a hidden row id.
  static CreateTableCommand Create(const std::string& name) {
    CreateTableCommand out;
    out.descriptor.name = name;
    out.descriptor.columns = {{.id = 1, .name = "a", .type = oid::kInt4},
                              {.id = 2, .name = "b", .type = oid::kText},
                              {.id = 3, .name = "rowid", .type = oid::kInt8, .not_null = true, .hidden = true}};
    out.descriptor.next_column_id = 4;
    out.descriptor.primary_key = {{.column_id = 3}};
    return out;
  }
  struct Session {
    std::unique_ptr<CatalogTxn> catalog;
    std::unique_ptr<kv::Txn> txn;
  };
  Session Begin() {
    Session out{catalog_->BeginTxn(), db_->Begin({})};
    out.catalog->SetTxn(out.txn.get());
    return out;
  }
  Status Commit(Session& session) {
    session.txn->LimitCommit(session.catalog->CommitDeadline());
    RETURN_IF_ERROR(session.txn->Commit(context_));
    session.catalog->OnCommitted(context_);
    return OkStatus();
  }
  Status Run(const DdlCommand& command) {
    Session session = Begin();
    DdlResult result;
    Status status = session.catalog->RunDdl(context_, command, result);
    if (status.ok()) return Commit(session);
    (void)session.txn->Rollback(context_).ok();
    session.catalog->OnRolledBack();
    return status;
  }
  TablePtr Find(const std::string& name) {
    auto txn = catalog_->BeginTxn();
    auto use = txn->FindTable(context_, "", name);
    EXPECT_TRUE(use.ok()) << use.status().ToString();
    return use.ok() ? use->table : nullptr;
  }
  void PutRow(const Table& table, int64_t row_id, Datum a) {
    std::string key = table.key_prefix;
    AppendKeyColumn(key, oid::kInt8, Datum::Int(row_id));
    std::string value;
    const Datum values[] = {std::move(a), Datum::Bytes("x")};
    AppendTuple(value, table.value_columns, values);
    EXPECT_TRUE(db_->RunTxn(context_, "row", [&](kv::Txn& txn) {
                     kv::Batch batch;
                     batch.Put(key, value);
                     return txn.Run(context_, batch);
                   }).ok());
  }
  uint64_t CountRows(const Table& table) {
    kv::Batch batch;
    batch.Scan({table.key_prefix, ordered::PrefixEnd(table.key_prefix)});
    EXPECT_TRUE(db_->Read(context_, batch).ok());
    return std::get<kv::ScanResponse>(batch.responses[0]).rows.count();
  }
  static AlterTableCommand AddKey(const std::string& table) {
    return {.table = {"", table}, .actions = {AddPrimaryKeyCommand{{"a"}, ""}}};
  }

  std::unique_ptr<runtime::ThreadsRuntime> runtime_ = runtime::ThreadsRuntime::Create();
  runtime::Context context_{*runtime_};
  std::unique_ptr<kv::Database> db_ = kv::MakeFakeDatabase();
  std::unique_ptr<Catalog> catalog_;
};

TEST_F(CatalogTest, ATransactionSeesItsOwnChangesAndRollbackUndoesThem) {
  Session session = Begin();
  DdlResult result;
  ASSERT_TRUE(session.catalog->RunDdl(context_, Create("t"), result).ok());
  auto own = session.catalog->FindTable(context_, "public", "t");
  ASSERT_TRUE(own.ok() && own->table);
  EXPECT_GE(own->table->id().value(), kFirstUserDescriptorId);
  EXPECT_EQ(own->lease, nullptr);
  ASSERT_TRUE(session.txn->Rollback(context_).ok());
  session.catalog->OnRolledBack();
  EXPECT_EQ(Find("t"), nullptr);
}

// timestamp(0) has the modifier 0, which is not "none".
TEST(ColumnDescriptorTest, EveryModifierSurvivesTheWire) {
  for (const int32_t typmod : {-1, 0, 1, 6, 14}) {
    ColumnDescriptor decoded;
    ASSERT_TRUE(wire::Decode(wire::Encode(ColumnDescriptor{.id = 1, .typmod = typmod}), decoded).ok());
    EXPECT_EQ(decoded.typmod, typmod);
  }
}

// A COPY may write a new storage's rows beside the transaction; they go when the transaction does.
TEST_F(CatalogTest, NewStoragesAreKnownAndClearedByARollback) {
  ASSERT_TRUE(Run(Create("t")).ok());
  Session session = Begin();
  const TablePtr before = session.catalog->FindTable(context_, "public", "t")->table;
  EXPECT_FALSE(session.catalog->IsNewStorage(*before, 0));
  DdlResult result;
  ASSERT_TRUE(session.catalog->RunDdl(context_, TruncateTablesCommand{{{"", "t"}}}, result).ok());
  const TablePtr empty = session.catalog->FindTable(context_, "public", "t")->table;
  EXPECT_TRUE(session.catalog->IsNewStorage(*empty, 0));
  EXPECT_FALSE(session.catalog->IsNewStorage(*empty, session.catalog->change_count()));  // a later savepoint
  EXPECT_FALSE(session.catalog->IsNewStorage(*before, 0));
  ASSERT_TRUE(session.catalog->RunDdl(context_, AddKey("t"), result).ok());
  const TablePtr rewritten = session.catalog->FindTable(context_, "public", "t")->table;
  EXPECT_FALSE(session.catalog->IsNewStorage(*rewritten, 0));  // its rows may be the transaction's own intents
  PutRow(*before, 1, Datum::Int(1));
  PutRow(*empty, 1, Datum::Int(1));
  ASSERT_TRUE(session.txn->Rollback(context_).ok());
  session.catalog->OnRolledBack(CatalogTxn::End::kRolledBack);
  // The catalog's task clears it.
  for (int i = 0; i < 1'000'000 && CountRows(*empty) > 0; ++i) {
  }
  EXPECT_EQ(CountRows(*empty), 0u);
  EXPECT_EQ(CountRows(*before), 1u);
}

// Rows written beside the transaction stand below its commit: a snapshot in between would see a part of them.
TEST_F(CatalogTest, SnapshotsFromBeforeRowsBesideAreRefusedTheTable) {
  ASSERT_TRUE(Run(Create("t")).ok());
  for (const auto level : {kv::IsolationLevel::kSerializable, kv::IsolationLevel::kReadCommitted}) {
    auto txn = db_->Begin({.isolation = level});
    kv::Batch look;
    look.Get("some key");
    ASSERT_TRUE(txn->Run(context_, look).ok());  // fixes the snapshot

    Session load{catalog_->BeginTxn(), db_->Begin({.isolation = kv::IsolationLevel::kReadCommitted})};
    load.catalog->SetTxn(load.txn.get());
    DdlResult result;
    ASSERT_TRUE(load.catalog->RunDdl(context_, TruncateTablesCommand{{{"", "t"}}}, result).ok());
    const TablePtr empty = load.catalog->FindTable(context_, "public", "t")->table;
    PutRow(*empty, 1, Datum::Int(1));
    load.txn->BeginStatement();
    ASSERT_TRUE(load.catalog->NoteRowsBeside(context_, *empty).ok());
    EXPECT_TRUE(load.catalog->IsNewStorage(*empty, 0));  // the next COPY may do the same
    ASSERT_TRUE(Commit(load).ok());

    auto older = catalog_->BeginTxn();
    older->SetTxn(txn.get());
    const auto found = older->FindTable(context_, "public", "t");
    if (level == kv::IsolationLevel::kReadCommitted) {
      EXPECT_TRUE(found.ok()) << found.status().ToString();  // its next statement reads above
    } else {
      ASSERT_FALSE(found.ok());
      EXPECT_NE(kv::GetError<kv::TxnRetryError>(found.status()), nullptr);
    }
    EXPECT_NE(Find("t"), nullptr);
    auto fresh = db_->Begin({.isolation = kv::IsolationLevel::kSerializable});
    auto later = catalog_->BeginTxn();
    later->SetTxn(fresh.get());
    EXPECT_TRUE(later->FindTable(context_, "public", "t").ok());
    older->OnRolledBack();
  }
}

// DROP TABLE waits for the other users while it uses the table itself: each that goes must be heard of.
TEST(TableLeaseTest, EveryUserOfAnEndedLeaseIsHeardOf) {
  TableLease lease(nullptr);
  ASSERT_TRUE(lease.Pin() && lease.Pin() && lease.Pin());
  EXPECT_FALSE(lease.Unpin());
  lease.End();
  EXPECT_FALSE(lease.Pin());
  EXPECT_EQ(lease.users(), 2u);
  EXPECT_TRUE(lease.Unpin());
  EXPECT_TRUE(lease.Unpin());
}

TEST_F(CatalogTest, LeasesAreReusedAndEndWithASchemaChange) {
  ASSERT_TRUE(Run(Create("t")).ok());
  auto first = catalog_->BeginTxn();
  const TableUse use = *first->FindTable(context_, "", "t");
  ASSERT_TRUE(use.table && use.lease);
  EXPECT_LT(first->CommitDeadline(), Timestamp::Max());  // T28
  first->OnRolledBack();
  auto second = catalog_->BeginTxn();
  EXPECT_EQ(second->FindTable(context_, "", "t")->table, use.table);  // the same object: no KV read
  EXPECT_TRUE(second->Use({use}));
  second->OnRolledBack();
  const uint64_t generation = catalog_->generation();
  ASSERT_TRUE(Run(TruncateTablesCommand{{{"", "t"}}}).ok());
  EXPECT_NE(catalog_->generation(), generation);
  EXPECT_FALSE(catalog_->BeginTxn()->Use({use}));
  const TablePtr now = Find("t");
  EXPECT_EQ(now->id(), use.table->id());
  EXPECT_NE(now->descriptor.storage, use.table->descriptor.storage);
  EXPECT_EQ(now->descriptor.version, use.table->descriptor.version + 1);
}

// A schema change waits for transactions that use the table, as under PostgreSQL's ACCESS EXCLUSIVE lock.
TEST_F(CatalogTest, SchemaChangesWaitForUsersOfTheTable) {
  ASSERT_TRUE(Run(Create("t")).ok());
  auto user = catalog_->BeginTxn();
  ASSERT_TRUE(user->FindTable(context_, "", "t")->table);
  EXPECT_EQ(Run(DropTablesCommand{{{"", "t"}}}).sqlstate(), "55P03");
  user->OnRolledBack();
  EXPECT_TRUE(Run(DropTablesCommand{{{"", "t"}}}).ok());
  EXPECT_EQ(Find("t"), nullptr);
}

TEST_F(CatalogTest, OnesOwnUseDoesNotHinderASchemaChange) {
  ASSERT_TRUE(Run(Create("t")).ok());
  Session session = Begin();
  ASSERT_TRUE(session.catalog->FindTable(context_, "", "t")->table);
  DdlResult result;
  const RenameCommand rename{.table = {"", "t"}, .new_name = "v"};
  ASSERT_TRUE(session.catalog->RunDdl(context_, rename, result).ok());
  EXPECT_EQ(session.catalog->FindTable(context_, "", "t")->table, nullptr);
  ASSERT_TRUE(session.catalog->FindTable(context_, "", "v")->table);
  ASSERT_TRUE(Commit(session).ok());
  EXPECT_EQ(Find("t"), nullptr);
  EXPECT_NE(Find("v"), nullptr);
}

TEST_F(CatalogTest, AddPrimaryKeyMovesTheRows) {
  ASSERT_TRUE(Run(Create("t")).ok());
  const TablePtr before = Find("t");
  for (int i = 0; i < 2500; ++i) PutRow(*before, i, Datum::Int(i));
  ASSERT_TRUE(Run(AddKey("t")).ok());
  const TablePtr after = Find("t");
  EXPECT_EQ(after->columns().size(), 2u);
  EXPECT_EQ(after->descriptor.primary_key_name, "t_pkey");
  EXPECT_TRUE(after->columns()[0].not_null);
  EXPECT_EQ(CountRows(*after), 2500u);
}

TEST_F(CatalogTest, AddPrimaryKeyRefusesDuplicatesAndNulls) {
  ASSERT_TRUE(Run(Create("t")).ok());
  const TablePtr table = Find("t");
  PutRow(*table, 1, Datum::Int(7));
  PutRow(*table, 2, Datum::Int(7));
  const Status duplicate = Run(AddKey("t"));
  EXPECT_EQ(duplicate.sqlstate(), "23505");
  EXPECT_EQ(duplicate.fields().detail, "Key (a)=(7) is duplicated.");
  PutRow(*table, 2, Datum());
  EXPECT_EQ(Run(AddKey("t")).sqlstate(), "23502");
  EXPECT_EQ(Find("t")->columns().size(), 3u);  // nothing changed
}

TEST_F(CatalogTest, AnotherCatalogOverTheSameDataSeesTheTables) {
  ASSERT_TRUE(Run(Create("t")).ok());
  auto other = NewCatalog(context_, *db_, {.node = NodeId(2)});
  ASSERT_TRUE(other->Start(context_).ok());
  auto txn = other->BeginTxn();
  EXPECT_NE(txn->FindTable(context_, "", "t")->table, nullptr);
  EXPECT_EQ(txn->ListTables(context_)->size(), 1u);
  txn.reset();
  other->Stop();
}

}  // namespace
}  // namespace orrery::sql
