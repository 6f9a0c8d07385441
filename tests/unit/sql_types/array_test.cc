// Arrays and records: bytes of clients and disks, which may be anything, and the binary form's round trip.
#include "orrery/sql/types/array.h"

#include <gtest/gtest.h>

#include <random>

#include "orrery/sql/types/compare.h"
#include "orrery/sql/types/record.h"
#include "orrery/sql/types/row_codec.h"
#include "orrery/sql/types/text_io.h"

namespace orrery::sql {
namespace {

Datum Parse(Oid type, std::string_view text) {
  auto value = ParseText({type, -1}, text, FormatContext());
  EXPECT_TRUE(value.ok()) << text << ": " << value.status().message();
  return value.ok() ? *value : Datum();
}

TEST(ArrayTest, BinaryFormIsPostgresqls) {
  const Datum array = Parse(1007, "{1,NULL}");
  std::string bytes;
  AppendBinary(1007, array, bytes);
  // One dimension, nulls, element type 23, 2 elements from 1: 4 bytes 1, then NULL.
  const std::string_view expected("\0\0\0\1\0\0\0\1\0\0\0\x17\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\1\xff\xff\xff\xff", 32);
  EXPECT_EQ(bytes, expected);
  auto back = ReceiveBinary({1007, -1}, bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(CompareDatums(1007, array, *back), std::strong_ordering::equal);
  EXPECT_EQ(ReceiveBinary({1016, -1}, bytes).status().sqlstate(), "42804");
}

TEST(ArrayTest, DamagedBytesAreErrors) {
  std::string whole;
  AppendBinary(1009, Parse(1009, "[0:1][2:3]={{a,NULL},{\"\",long enough to be on the heap}}"), whole);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ReceiveBinary({1009, -1}, whole.substr(0, size)).ok()) << size;
  }
  std::mt19937 random(20260);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = whole;
    for (int flips = 0; flips < 3; ++flips) bytes[random() % bytes.size()] = char(random());
    auto value = ReceiveBinary({1009, -1}, bytes);
    if (value.ok()) (void)FormatText(1009, *value, FormatContext());
    // The same bytes in a row: an error or an array, never a crash.
    std::string tuple;
    const TupleColumn column{1, 1009};
    const Datum raw = Datum::Bytes(bytes);
    AppendTuple(tuple, {&column, 1}, {&raw, 1});
    Datum out;
    if (TupleReader({{1, 1009, 0, Datum()}}).Read(tuple, {&out, 1}).ok() && !out.is_null()) (void)Array::Unpack(out);
  }
}

TEST(ArrayTest, EqualArraysHashAlike) {
  const Oid numerics = 1231;
  const Datum a = Parse(numerics, "{1.0,2.50}");
  const Datum b = Parse(numerics, "{1,2.5}");
  EXPECT_TRUE(NotDistinct(numerics, a, b));
  EXPECT_EQ(HashDatum(numerics, a), HashDatum(numerics, b));
  EXPECT_FALSE(NotDistinct(numerics, a, Parse(numerics, "{1,2.5,NULL}")));
  EXPECT_FALSE(IsKeyType(numerics));
}

TEST(ArrayTest, VectorsOfTheCatalogs) {
  const Datum vector = Parse(oid::kInt2vector, " 3  1 ");
  EXPECT_EQ(FormatText(oid::kInt2vector, vector, FormatContext()), "3 1");
  EXPECT_EQ(Array::Unpack(vector).dimensions[0].lower, 0);
}

TEST(RecordTest, TextAndOrder) {
  EvalContext context;
  const Oid types[] = {oid::kInt4, oid::kText, oid::kText};
  context.argument_types = types;
  Datum low, high;
  const std::vector<Datum> first = {Datum::Int(1), Datum::Bytes("a \"b\\"), Datum()};
  const std::vector<Datum> second = {Datum::Int(1), Datum::Bytes("b"), Datum::Bytes("")};
  ASSERT_TRUE(RecordConstructor().evaluate(context, first, &low).ok());
  ASSERT_TRUE(RecordConstructor().evaluate(context, second, &high).ok());
  EXPECT_EQ(FormatText(oid::kRecord, low, FormatContext()), R"((1,"a ""b\\",))");
  EXPECT_EQ(FormatText(oid::kRecord, high, FormatContext()), R"((1,b,""))");
  EXPECT_TRUE(CompareDatums(oid::kRecord, low, high) < 0);
}

}  // namespace
}  // namespace orrery::sql
