// Definitions as PostgreSQL 15 printed them for the same tables, and visibility along the search path.
#include "orrery/sql/catalog/catalog_functions.h"

#include <gtest/gtest.h>

#include <set>

#include "fake_reader.h"
#include "sql/catalog/object_oids.h"

namespace orrery::sql {
namespace {

using Style = CatalogInfo::Style;

class CatalogFunctionsTest : public ::testing::Test {
 protected:
  static std::string Shown(const CatalogInfo::Text& text) {
    return !text.ok() ? text.status().ToString() : text->value_or("NULL");
  }
  FakeReader reader_;
  const Oid cat_ = TableOid(*reader_.tables[0]);
  const Oid pkey_ = PrimaryKeyOid(*reader_.tables[0]);
  NoRuntime runtime_;
  runtime::Context context_{runtime_};
  const std::shared_ptr<const FunctionCatalog> functions_ = BuildFunctionCatalog();
  const std::unique_ptr<CatalogInfo> info_ = NewCatalogInfo(context_, reader_, *functions_);
};

TEST_F(CatalogFunctionsTest, Indexes) {
  EXPECT_EQ(Shown(info_->IndexDefinition(pkey_, Style::kFull)),
            "CREATE UNIQUE INDEX cat_pkey ON public.cat USING btree (id)");
  EXPECT_EQ(Shown(info_->IndexDefinition(pkey_, Style::kPretty)),
            "CREATE UNIQUE INDEX cat_pkey ON cat USING btree (id)");
  EXPECT_EQ(Shown(info_->IndexColumn(pkey_, 1)), "id");
  EXPECT_EQ(Shown(info_->IndexColumn(pkey_, 2)), "");
  EXPECT_EQ(Shown(info_->IndexDefinition(cat_, Style::kFull)), "NULL");
}

TEST_F(CatalogFunctionsTest, Constraints) {
  EXPECT_EQ(Shown(info_->ConstraintDefinition(pkey_, Style::kFull)), "PRIMARY KEY (id)");
  const Oid check = HashedOids().Next(*reader_.tables[0], "cat_amount_check");
  EXPECT_EQ(Shown(info_->ConstraintDefinition(check, Style::kFull)), "CHECK ((amount > (0)::numeric))");
  EXPECT_EQ(Shown(info_->ConstraintDefinition(check, Style::kPretty)), "CHECK (amount > (0)::numeric)");
  EXPECT_EQ(Shown(info_->ConstraintDefinition(1, Style::kFull)), "NULL");
}

TEST_F(CatalogFunctionsTest, NamesAndVisibility) {
  EXPECT_EQ(Shown(info_->RelationName(cat_)), "cat");
  EXPECT_EQ(Shown(info_->RelationName(pkey_)), "cat_pkey");
  EXPECT_EQ(Shown(info_->RelationName(1259)), "pg_class");
  EXPECT_EQ(Shown(info_->RelationName(13236)).substr(0, 19), "information_schema.");
  EXPECT_EQ(*info_->IsVisible(cat_), std::optional(true));
  EXPECT_EQ(*info_->IsVisible(13236), std::optional(false));
  EXPECT_EQ(*info_->IsVisible(1), std::nullopt);
}

TEST_F(CatalogFunctionsTest, TablesAreReadOnce) {
  ASSERT_TRUE(info_->IsVisible(cat_).ok());
  ASSERT_TRUE(info_->IndexDefinition(pkey_, Style::kFull).ok());
  EXPECT_EQ(reader_.lists, 1);
}

TEST_F(CatalogFunctionsTest, FunctionSignatures) {
  EXPECT_EQ(Shown(info_->FunctionArguments(177)), "integer, integer");
  EXPECT_EQ(Shown(info_->FunctionResult(177)), "integer");
}

// OIDs of hashed objects stay what they are: clients keep them between statements, on any node.
TEST(HashedOids, AreStableAndUnique) {
  FakeReader reader;
  HashedOids oids, same;
  std::set<Oid> seen;
  for (int i = 0; i < 20000; ++i) {
    const Oid oid = oids.Next(*reader.tables[0], "c" + std::to_string(i));
    EXPECT_TRUE(seen.insert(oid).second);
    EXPECT_GE(oid, kHashedOids);
    EXPECT_LT(oid, kIndexOids);
    EXPECT_EQ(same.Next(*reader.tables[0], "c" + std::to_string(i)), oid);
  }
}

}  // namespace
}  // namespace orrery::sql
