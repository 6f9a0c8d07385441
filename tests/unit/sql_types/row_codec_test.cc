#include "orrery/sql/types/row_codec.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "orrery/sql/types/compare.h"
#include "orrery/sql/types/numeric.h"
#include "orrery/sql/types/text_io.h"
#include "orrery/sql/types/type.h"

namespace orrery::sql {
namespace {

using ordered::Direction;
using Rng = std::mt19937_64;

constexpr Oid kTypes[] = {
    oid::kBool,        oid::kInt2,     oid::kInt4,    oid::kInt8, oid::kOid,     oid::kChar,
    oid::kFloat4,      oid::kFloat8,   oid::kNumeric, oid::kText, oid::kVarchar, oid::kBpchar,
    oid::kBytea,       oid::kName,     oid::kDate,    oid::kTime, oid::kUuid,    oid::kTimestamp,
    oid::kTimestamptz, oid::kInterval, oid::kRegclass};

int64_t RandomInt(Rng& rng, int64_t min, int64_t max) {
  switch (rng() % 6) {
    case 0:
      return min;
    case 1:
      return max;
    case 2:
      return std::clamp<int64_t>(int64_t(rng() % 5) - 2, min, max);
    default: {
      const int shift = int(rng() % 64);
      const auto v = int64_t(rng()) >> shift;
      return std::clamp(v, min, max);
    }
  }
}

std::string RandomBytes(Rng& rng, size_t max) {
  std::string s(rng() % (max + 1), '\0');
  constexpr char kAlphabet[] = {0, 1, ' ', 'a', 'b', char(0xFF)};
  for (char& c : s) c = kAlphabet[rng() % std::size(kAlphabet)];
  return s;
}

double RandomDouble(Rng& rng) {
  constexpr double kSpecial[] = {0.0,
                                 -0.0,
                                 1.0,
                                 -1.0,
                                 std::numeric_limits<double>::infinity(),
                                 -std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN(),
                                 5e-324};
  if (rng() % 2) return kSpecial[rng() % std::size(kSpecial)];
  return std::uniform_real_distribution<double>(-1e3, 1e3)(rng);
}

Datum RandomNumeric(Rng& rng) {
  switch (rng() % 8) {
    case 0:
      return Numeric::Nan().ToDatum();
    case 1:
      return Numeric::Infinity().ToDatum();
    case 2:
      return Numeric::Infinity(Numeric::Sign::kNegativeInfinity).ToDatum();
    default: {
      std::string text = rng() % 2 ? "-" : "";
      for (size_t i = rng() % 12 + 1; i > 0; --i) text += char('0' + rng() % 3 * 4);
      if (rng() % 2) text += "." + std::to_string(rng() % 1000) + (rng() % 2 ? "00" : "");
      if (rng() % 4 == 0) text += "e" + std::to_string(int(rng() % 80) - 40);
      return Numeric::Parse(text)->ToDatum();
    }
  }
}

Datum RandomDatum(Rng& rng, Oid type) {
  switch (type) {
    case oid::kBool:
      return Datum::Bool(rng() % 2);
    case oid::kInt2:
      return Datum::Int(RandomInt(rng, INT16_MIN, INT16_MAX));
    case oid::kInt4:
    case oid::kDate:
      return Datum::Int(RandomInt(rng, INT32_MIN, INT32_MAX));
    case oid::kOid:
    case oid::kRegclass:
      return Datum::Int(RandomInt(rng, 0, UINT32_MAX));
    case oid::kChar:
      return Datum::Int(RandomInt(rng, 0, 255));
    case oid::kTime:
      return Datum::Int(RandomInt(rng, 0, 86'400'000'000));
    case oid::kFloat4:
      return Datum::Float(double(float(RandomDouble(rng))));
    case oid::kFloat8:
      return Datum::Float(RandomDouble(rng));
    case oid::kNumeric:
      return RandomNumeric(rng);
    case oid::kUuid: {
      std::string s = RandomBytes(rng, 16);
      s.resize(16, 'x');
      return Datum::Bytes(s);
    }
    case oid::kInterval:
      return Datum::OfInterval({RandomInt(rng, INT64_MIN, INT64_MAX),
                                int32_t(RandomInt(rng, INT32_MIN, INT32_MAX)),
                                int32_t(RandomInt(rng, INT32_MIN, INT32_MAX))});
    case oid::kInt8:
    case oid::kTimestamp:
    case oid::kTimestamptz:
      return Datum::Int(RandomInt(rng, INT64_MIN, INT64_MAX));
    default:
      return Datum::Bytes(RandomBytes(rng, rng() % 4 == 0 ? 40 : 4));
  }
}

std::string KeyOf(Oid type, const Datum& d, Direction direction) {
  std::string key;
  AppendKeyColumn(key, type, d, direction);
  return key;
}

bool SameRepresentation(const Datum& a, const Datum& b) {
  return a.kind() == b.kind() && a.DebugString() == b.DebugString();
}

TEST(RowCodecTest, KeysOrderLikeValues) {
  for (const Oid type : kTypes) {
    Rng rng(1);
    for (int i = 0; i < 3000; ++i) {
      const Datum a = RandomDatum(rng, type);
      const Datum b = RandomDatum(rng, type);
      const auto order = CompareDatums(type, a, b);
      for (const Direction d : {Direction::kAscending, Direction::kDescending}) {
        const auto keys = KeyOf(type, a, d).compare(KeyOf(type, b, d)) <=> 0;
        ASSERT_EQ(d == Direction::kAscending ? keys : 0 <=> keys, order)
            << TypeName(type) << " " << a.DebugString() << " " << b.DebugString();
      }
      if (order == 0) {
        ASSERT_EQ(HashDatum(type, a), HashDatum(type, b)) << TypeName(type);
      }
    }
  }
}

TEST(RowCodecTest, KeysRoundTrip) {
  for (const Oid type : kTypes) {
    Rng rng(2);
    for (int i = 0; i < 3000; ++i) {
      const Datum value = rng() % 10 == 0 ? Datum() : RandomDatum(rng, type);
      const Direction d = rng() % 2 ? Direction::kAscending : Direction::kDescending;
      const std::string key = KeyOf(type, value, d) + "rest";
      std::string_view in = key;
      Datum back;
      ASSERT_TRUE(ReadKeyColumn(in, type, d, back).ok())
          << TypeName(type) << " " << value.DebugString();
      ASSERT_EQ(in, "rest");
      ASSERT_TRUE(NotDistinct(type, value, back))
          << TypeName(type) << value.DebugString() << back.DebugString();
      if (!value.is_null() && KeyIsExact(type, value)) {
        ASSERT_TRUE(SameRepresentation(value, back))
            << TypeName(type) << value.DebugString() << back.DebugString();
      }
    }
  }
}

TEST(RowCodecTest, InexactKeysAreKnown) {
  EXPECT_FALSE(KeyIsExact(oid::kNumeric, Numeric::Parse("1.50")->ToDatum()));
  EXPECT_TRUE(KeyIsExact(oid::kNumeric, Numeric::Parse("1.5")->ToDatum()));
  EXPECT_FALSE(KeyIsExact(oid::kNumeric, Numeric::Parse("0.00")->ToDatum()));
  EXPECT_FALSE(KeyIsExact(oid::kFloat8, Datum::Float(-0.0)));
  EXPECT_FALSE(KeyIsExact(oid::kBpchar, Datum::Bytes("a ")));
  EXPECT_FALSE(KeyIsExact(oid::kInterval, Datum::OfInterval({86'400'000'000, 0, 0})));
  EXPECT_TRUE(KeyIsExact(oid::kInterval, Datum::OfInterval({5, 2, 1})));
}

TEST(RowCodecTest, NullsSortLastAscendingAndFirstDescending) {
  const Datum one = Datum::Int(1);
  EXPECT_LT(KeyOf(oid::kInt4, one, Direction::kAscending),
            KeyOf(oid::kInt4, Datum(), Direction::kAscending));
  EXPECT_GT(KeyOf(oid::kInt4, one, Direction::kDescending),
            KeyOf(oid::kInt4, Datum(), Direction::kDescending));
}

TEST(RowCodecTest, IndexPrefixRoundTrips) {
  std::string key;
  AppendIndexPrefix(key, 104, 3);
  std::string_view in = key;
  uint64_t table = 0;
  uint64_t index = 0;
  ASSERT_TRUE(ReadIndexPrefix(in, table, index).ok());
  EXPECT_EQ(table, 104u);
  EXPECT_EQ(index, 3u);
  EXPECT_TRUE(in.empty());
  EXPECT_FALSE(ReadIndexPrefix(in, table, index).ok());
}

TEST(RowCodecTest, TuplesGiveChosenColumns) {
  Rng rng(3);
  for (int round = 0; round < 2000; ++round) {
    std::vector<TupleColumn> columns;
    std::vector<Datum> values;
    uint32_t id = 0;
    for (size_t i = rng() % 8; i > 0; --i) {
      id += 1 + uint32_t(rng() % 3) * (rng() % 5 == 0 ? 1000 : 1);
      columns.push_back({id, kTypes[rng() % std::size(kTypes)]});
      values.push_back(rng() % 5 == 0 ? Datum() : RandomDatum(rng, columns.back().type));
    }
    std::string tuple;
    AppendTuple(tuple, columns, values);
    std::vector<TupleReader::Column> wanted;
    std::vector<const Datum*> expected;
    const Datum missing = Datum::Int(77);
    for (size_t i = 0; i < columns.size(); ++i) {
      if (rng() % 2) continue;
      wanted.push_back({columns[i].id, columns[i].type, uint32_t(wanted.size()), Datum()});
      expected.push_back(&values[i]);
    }
    wanted.push_back({id + 1, oid::kInt4, uint32_t(wanted.size()), missing});
    expected.push_back(&missing);
    std::shuffle(wanted.begin(), wanted.end(), rng);
    std::vector<Datum> row(wanted.size());
    ASSERT_TRUE(TupleReader(wanted).Read(tuple, row).ok());
    for (size_t i = 0; i < row.size(); ++i) {
      ASSERT_TRUE(SameRepresentation(row[i], *expected[i]))
          << row[i].DebugString() << " " << expected[i]->DebugString();
    }
    ASSERT_TRUE(DescribeTuple(tuple).ok());
  }
}

TEST(RowCodecTest, AbsentColumnsMayKeepTheirSlots) {
  std::string tuple;
  const TupleColumn column{2, oid::kInt4};
  AppendTuple(tuple, {&column, 1}, std::vector<Datum>{Datum::Int(5)});
  std::vector<Datum> row = {Datum::Int(1), Datum::Int(1), Datum::Int(1)};
  const TupleReader reader({{1, oid::kInt4, 0, {}}, {2, oid::kInt4, 1, {}}, {3, oid::kInt4, 2, {}}},
                           TupleReader::Absent::kKeep);
  ASSERT_TRUE(reader.Read(tuple, row).ok());
  EXPECT_EQ(row[0].as_int(), 1);
  EXPECT_EQ(row[1].as_int(), 5);
  EXPECT_EQ(row[2].as_int(), 1);
}

// The bytes of version 1 never change: docs/formats/rows.md.
TEST(RowCodecTest, GoldenTuple) {
  std::string tuple;
  const std::vector<TupleColumn> columns = {{1, oid::kInt4},    {2, oid::kText}, {4, oid::kBool},
                                            {5, oid::kNumeric}, {6, oid::kInt8}, {7, oid::kFloat8},
                                            {8, oid::kInterval}};
  const std::vector<Datum> values = {Datum::Int(-3),
                                     Datum::Bytes("ab"),
                                     Datum::Bool(true),
                                     Numeric::Parse("-12.5")->ToDatum(),
                                     Datum(),
                                     Datum::Float(1.5),
                                     Datum::OfInterval({3, -1, 1})};
  AppendTuple(tuple, columns, values);
  EXPECT_EQ(*DescribeTuple(tuple),
            "1:1:05 2:3:026162 4:5: 5:6:080140000"
            "00c008813 6:0: 7:2:000000000000f83f 8:7:020106");
}

TEST(BinaryIoTest, RoundTripsAndRefusesGarbage) {
  for (const Oid type : {oid::kBool, oid::kInt2, oid::kInt4, oid::kInt8, oid::kOid, oid::kFloat4,
                         oid::kFloat8, oid::kNumeric, oid::kBytea, oid::kUuid, oid::kDate,
                         oid::kTime, oid::kTimestamp, oid::kInterval, oid::kChar}) {
    Rng rng(5);
    for (int i = 0; i < 500; ++i) {
      const Datum value = RandomDatum(rng, type);
      std::string bytes;
      AppendBinary(type, value, bytes);
      const auto back = ReceiveBinary({type, -1}, bytes);
      if (!back.ok()) {  // dates and timestamps beyond their range
        ASSERT_EQ(back.status().sqlstate(), "22008") << TypeName(type);
        continue;
      }
      ASSERT_TRUE(SameRepresentation(value, *back)) << TypeName(type) << value.DebugString();
      const auto cut =
          ReceiveBinary({type, -1}, std::string_view(bytes).substr(0, bytes.size() / 2));
      if (type != oid::kBytea) {
        ASSERT_FALSE(cut.ok()) << TypeName(type);
      }
    }
  }
  EXPECT_EQ(ReceiveBinary({oid::kText, -1}, "\xff").status().sqlstate(), "22021");
}

TEST(RowCodecTest, RandomBytesNeverCrash) {
  Rng rng(4);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(rng() % 24, '\0');
    for (char& c : bytes) c = char(rng());
    for (const Oid type : kTypes) {
      std::string_view in = bytes;
      Datum out;
      if (ReadKeyColumn(in, type, Direction::kAscending, out).ok() && !out.is_null()) {
        (void)KeyOf(type, out, Direction::kAscending);
      }
    }
    if (!bytes.empty()) bytes[0] = 1;
    const Oid type = kTypes[rng() % std::size(kTypes)];
    std::vector<Datum> row(2);
    const TupleReader reader({{1, type, 0, {}}, {3, type, 1, {}}});
    if (reader.Read(bytes, row).ok() && !row[0].is_null()) (void)HashDatum(type, row[0]);
    (void)DescribeTuple(bytes);
  }
}

}  // namespace
}  // namespace orrery::sql
