// The task that keeps a store's durability witness, under the simulator.
#include <gtest/gtest.h>

#include "orrery/runtime/scheduler.h"
#include "orrery/runtime/sim/simulator.h"
#include "orrery/storage/durability_witness.h"
#include "orrery/storage/mem_engine.h"

namespace orrery::storage {
namespace {

// The task's promise: whatever it wrote down was synced before, so no crash leaves less.
TEST(KeepWitness, WhatTheTaskWritesDownSurvivesAnyCrash) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    runtime::Simulator simulator(seed, {});
    MemEngine engine;
    uint64_t syncs = 0;
    uint64_t last_synced = 0;
    const auto run = [&](const runtime::Context& context) -> Status {
      auto& files = context.runtime().file_system();
      RETURN_IF_ERROR(files.CreateFolder("/store"));
      ASSIGN_OR_RETURN(auto witness, DurabilityWitness::Open(files, "/store/w", StoreId(1)));
      runtime::TaskGroup group(context, "store");
      group.Spawn({.name = "witness"}, [&](const runtime::Context& c) {
        KeepWitness(c, engine, *witness, [&] { return syncs; }, [](const Status& s) { ADD_FAILURE() << s.ToString(); });
        return OkStatus();
      });
      for (uint64_t i = 0; i < 40; ++i) {
        WriteBatch batch;
        batch.Put(ColumnFamily::kState, "k" + std::to_string(i), "v");
        const bool sync = context.runtime().random().Next() % 4 == 0;
        RETURN_IF_ERROR(engine.Write(batch, sync ? SyncMode::kSync : SyncMode::kNoSync));
        syncs += sync;
        if (sync) last_synced = engine.LastSequence();
        RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 50ms));
        const uint64_t survived = engine.CrashImage({}).sequence;
        EXPECT_TRUE(witness->CheckRecovered(survived).ok()) << "seed " << seed << ", write " << i;
      }
      RETURN_IF_ERROR(context.runtime().scheduler().SleepFor(context, 2s));
      EXPECT_TRUE(witness->last() && witness->last()->synced_sequence >= last_synced) << "seed " << seed;
      group.Cancel();
      return group.Join();
    };
    const Status status = simulator.Run(run);
    ASSERT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString();
  }
}

}  // namespace
}  // namespace orrery::storage
