#include "orrery/base/wire.h"

#include <gtest/gtest.h>

#include <random>

#include "orrery/base/timestamp.h"

namespace orrery {
namespace {

struct Leaf {
  int64_t number = 0;
  std::string text;
  friend bool operator==(const Leaf&, const Leaf&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, number);
    v(2, text);
  }
};
struct Other {
  bool flag = false;
  friend bool operator==(const Other&, const Other&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, flag);
  }
};
struct Tree {
  std::optional<uint64_t> maybe;
  std::vector<Leaf> leaves;
  std::vector<uint32_t> numbers;
  std::variant<Leaf, Other> choice;
  RangeId range;
  Timestamp at;
  double real = 0;
  friend bool operator==(const Tree&, const Tree&) = default;
  template <class V>
  void Visit(V& v) {
    v(1, maybe);
    v(2, leaves);
    v(3, numbers);
    v(4, choice);
    v(5, range);
    v(6, at);
    v(17, real);
  }
};

Tree Sample() {
  return Tree{.maybe = 0, .leaves = {{-5, "a"}, {}, {1LL << 62, std::string(300, 'x')}}, .numbers = {0, 7},
              .choice = Other{true}, .range = RangeId(9), .at = {123, 4}, .real = -2.5};
}

TEST(Wire, RoundTripKeepsEverything) {
  Tree back;
  ASSERT_TRUE(wire::Decode(wire::Encode(Sample()), back).ok());
  EXPECT_EQ(back, Sample());
  ASSERT_TRUE(wire::Decode(wire::Encode(Tree()), back).ok());
  EXPECT_EQ(back, Tree());
}

// A message within a message stands behind its length, however many bytes that takes.
TEST(Wire, NestedMessagesHaveTheirLengthBefore) {
  for (const size_t size : {0u, 1u, 125u, 126u, 127u, 128u, 129u, 16380u, 16384u, 16400u, 70000u}) {
    std::string leaf;
    if (size > 0) {
      leaf = "\x12";
      wire::AppendVarint(leaf, size);
      leaf.append(size, 'x');
    }
    std::string expected = "before\x12";
    wire::AppendVarint(expected, leaf.size());
    expected += leaf;
    expected += "\x12\x02\x08\x02";  // a second one, of number 1 zigzag
    std::string encoded = "before";
    Tree tree{.leaves = {{0, std::string(size, 'x')}, {1, ""}}};
    tree.choice = Leaf{};
    wire::EncodeTo(tree, encoded);
    ASSERT_EQ(encoded, expected + std::string("\x22\x02\x0A\x00", 4)) << size;
  }
}

TEST(Wire, UnknownFieldsAreSkipped) {
  Other other;
  ASSERT_TRUE(wire::Decode(wire::Encode(Tree{.range = RangeId(3), .real = 1}), other).ok());
  EXPECT_FALSE(other.flag);
}

TEST(Wire, EveryTruncationIsAnErrorOrAPrefix) {
  const std::string bytes = wire::Encode(Sample());
  for (size_t n = 0; n < bytes.size(); ++n) {
    Tree back;
    (void)wire::Decode(std::string_view(bytes).substr(0, n), back);  // must not crash or read past the end
  }
}

TEST(Wire, RandomBytesNeverCrash) {
  std::mt19937_64 rng(3);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = round % 2 ? wire::Encode(Sample()) : std::string(rng() % 40, 'x');
    for (int flips = 0; flips < 3 && !bytes.empty(); ++flips) bytes[rng() % bytes.size()] = char(rng());
    Tree back;
    (void)wire::Decode(bytes, back);
  }
}

}  // namespace
}  // namespace orrery
