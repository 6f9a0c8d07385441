#include "orrery/base/fifo.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>

namespace orrery {
namespace {

TEST(Fifo, GivesBackWhatCameFirst) {
  Fifo<int> fifo;
  for (int i = 0; i < 100; ++i) fifo.push_back(i);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(fifo.front(), i);
    EXPECT_EQ(fifo.back(), 99);
    fifo.pop_front();
  }
  EXPECT_TRUE(fifo.empty());
}

TEST(Fifo, AnElementThatIsGoneHoldsNothing) {
  Fifo<std::shared_ptr<int>> fifo;
  const auto value = std::make_shared<int>(1);
  for (int i = 0; i < 6; ++i) fifo.push_back(value);
  fifo.pop_front();
  fifo.pop_back();
  EXPECT_EQ(value.use_count(), 5);
  fifo.Clear();
  EXPECT_EQ(value.use_count(), 1);
  EXPECT_EQ(fifo.size(), 0u);
}

// The model is std::deque.
TEST(Fifo, DoesWhatADequeDoes) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    Fifo<int> fifo;
    std::deque<int> model;
    for (int step = 0; step < 2000; ++step) {
      const uint32_t dice = random() % 100;
      if (dice < 50) {
        fifo.push_back(step);
        model.push_back(step);
      } else if (dice < 75 && !model.empty()) {
        fifo.pop_front();
        model.pop_front();
      } else if (dice < 99 && !model.empty()) {
        fifo.pop_back();
        model.pop_back();
      } else if (dice == 99) {
        fifo.Clear();
        model.clear();
      }
      ASSERT_EQ(fifo.size(), model.size()) << "seed " << seed;
      for (size_t i = 0; i < model.size(); ++i) ASSERT_EQ(fifo[i], model[i]) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace orrery
