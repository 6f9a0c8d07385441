// Property: the byte order of encodings is the order of values, and decoding gives the value back.
#include "orrery/base/ordered_encoding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace orrery::ordered {
namespace {

constexpr Direction kBoth[] = {Direction::kAscending, Direction::kDescending};

std::vector<int64_t> InterestingInts(std::mt19937_64& rng) {
  std::vector<int64_t> values = {0, 1, -1, 127, 128, -128, -129, 255, 256, -256, -257,
                                 std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()};
  for (int i = 0; i < 300; ++i) values.push_back(int64_t(rng()) >> (rng() % 64));
  return values;
}

int Sign(int x) { return (x > 0) - (x < 0); }

TEST(OrderedEncoding, IntegersKeepOrderAndRoundTrip) {
  std::mt19937_64 rng(1);
  const auto values = InterestingInts(rng);
  for (const Direction d : kBoth) {
    for (const int64_t a : values) {
      std::string ea;
      AppendInt(ea, a, d);
      std::string_view in = ea;
      int64_t back = 0;
      ASSERT_TRUE(ReadInt(in, back, d));
      EXPECT_EQ(back, a);
      EXPECT_TRUE(in.empty());
      for (const int64_t b : values) {
        std::string eb;
        AppendInt(eb, b, d);
        const int order = a < b ? -1 : a > b;
        EXPECT_EQ(Sign(ea.compare(eb)), d == Direction::kAscending ? order : -order) << a << " " << b;
      }
    }
  }
}

// However long, and wherever the zeros are.
TEST(OrderedEncoding, LongBytesAreEscapedByteByByte) {
  std::mt19937_64 rng(3);
  for (size_t size = 0; size < 300; ++size) {
    std::string value(size, 'a');
    for (char& c : value) c = char(std::array{0, 0, 1, 255, 97}[rng() % 5]);
    for (const Direction d : kBoth) {
      const char mask = d == Direction::kDescending ? char(0xFF) : char(0);
      std::string expected = "before";
      for (const char c : value) {
        expected += char(c ^ mask);
        if (c == 0) expected += char('\xFF' ^ mask);
      }
      expected += mask;
      expected += char('\x01' ^ mask);
      std::string encoded = "before";
      AppendBytes(encoded, value, d);
      ASSERT_EQ(encoded, expected) << size;
      std::string_view in = std::string_view(encoded).substr(6);
      std::string back;
      ASSERT_TRUE(ReadBytes(in, back, d));
      EXPECT_EQ(back, value);
      EXPECT_TRUE(in.empty());
    }
  }
}

TEST(OrderedEncoding, BytesKeepOrderAsTuples) {
  std::mt19937_64 rng(2);
  std::vector<std::string> values = {"", std::string(1, '\0'), std::string(2, '\0'), "\xFF", "a", "ab"};
  for (int i = 0; i < 100; ++i) {
    std::string s;
    for (size_t n = rng() % 5; n > 0; --n) s.push_back(char(std::array{0, 1, 255, 97}[rng() % 4]));
    values.push_back(s);
  }
  for (const Direction d : kBoth) {
    for (const auto& a : values) {
      for (const auto& b : values) {
        for (const auto& tail : {std::string("x"), std::string("\xFF")}) {
          std::string ea, eb;
          AppendBytes(ea, a, d);
          AppendBytes(ea, tail, Direction::kAscending);
          AppendBytes(eb, b, d);
          AppendBytes(eb, "y", Direction::kAscending);
          int order = Sign(a.compare(b));
          if (d == Direction::kDescending) order = -order;
          if (order == 0) order = Sign(tail.compare("y"));
          EXPECT_EQ(Sign(ea.compare(eb)), order);
        }
      }
      std::string ea;
      AppendBytes(ea, a, d);
      std::string_view in = ea;
      std::string back;
      ASSERT_TRUE(ReadBytes(in, back, d));
      EXPECT_EQ(back, a);
    }
  }
}

TEST(OrderedEncoding, DoublesSortAsPostgresDoes) {
  const double inf = std::numeric_limits<double>::infinity();
  const double values[] = {-inf, -1e300, -1.5, -1e-300, 0.0, 1e-300, 2.5, 1e300, inf, std::nan("")};
  std::string previous;
  for (const double v : values) {
    std::string e;
    AppendDouble(e, v);
    EXPECT_LT(previous, e) << v;
    std::string_view in = e;
    double back = 0;
    ASSERT_TRUE(ReadDouble(in, back));
    EXPECT_TRUE(back == v || (std::isnan(back) && std::isnan(v)));
    previous = e;
  }
  std::string zero, minus_zero;
  AppendDouble(zero, 0.0);
  AppendDouble(minus_zero, -0.0);
  EXPECT_EQ(zero, minus_zero);
}

TEST(OrderedEncoding, NullsSortLastAscendingAndFirstDescending) {
  for (const Direction d : kBoth) {
    std::string null, value;
    AppendNull(null, d);
    AppendNotNull(value, d);
    EXPECT_EQ(value < null, d == Direction::kAscending);
  }
}

TEST(OrderedEncoding, MalformedInputIsRefused) {
  std::string out;
  int64_t i = 0;
  uint64_t u = 0;
  for (const std::string& bytes : {std::string(""), std::string("\x81"), std::string("\x89", 1), std::string("\x81\x00", 2)}) {
    std::string_view in = bytes;
    EXPECT_FALSE(ReadInt(in, i)) << bytes.size();
  }
  for (const std::string& bytes : {std::string("a"), std::string("a\0", 2), std::string("a\0\x02", 3)}) {
    std::string_view in = bytes;
    EXPECT_FALSE(ReadBytes(in, out));
  }
  std::string_view in = std::string_view("\x09", 1);
  EXPECT_FALSE(ReadUint(in, u));
}

TEST(OrderedEncoding, PrefixEndIsTheNextPrefix) {
  EXPECT_EQ(PrefixEnd("ab"), "ac");
  EXPECT_EQ(PrefixEnd("a\xFF"), "b");
  EXPECT_EQ(PrefixEnd("\xFF\xFF"), "");
}

}  // namespace
}  // namespace orrery::ordered
