// An engine in memory for the tests of what stands above one. Not thread-safe.
#pragma once

#include <functional>

#include "orrery/storage/mem_engine.h"

namespace orrery::storage {

// Lets something else happen in the middle of a seek or write, as another thread would.
class InterruptedEngine final : public Engine {
 public:
  std::function<void()> interrupt = [] {};
  std::function<void(const WriteBatch&)> written = [](const WriteBatch&) {};
  uint64_t seeks = 0;
  uint64_t iterators = 0;

  StatusOr<bool> SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes, std::string& key,
                              std::string& value) const override {
    auto& self = const_cast<InterruptedEngine&>(*this);
    ++self.seeks;
    self.interrupt();
    auto found = base_.SeekInPrefix(cf, target, prefix_bytes, key, value);
    self.interrupt();
    return found;
  }
  Status Write(const WriteBatch& batch, SyncMode sync) override {
    interrupt();
    const Status status = base_.Write(batch, sync);
    if (status.ok()) written(batch);
    interrupt();
    return status;
  }
  StatusOr<bool> GetInto(ColumnFamily cf, std::string_view key, std::string& value) const override {
    return base_.GetInto(cf, key, value);
  }
  std::unique_ptr<Iterator> NewIterator(ColumnFamily cf, IteratorOptions options) const override {
    auto& self = const_cast<InterruptedEngine&>(*this);
    ++self.iterators;
    self.interrupt();
    return base_.NewIterator(cf, std::move(options));
  }
  std::unique_ptr<EngineSnapshot> NewSnapshot() const override { return base_.NewSnapshot(); }
  DiskSpace CheckSpace() const override { return base_.CheckSpace(); }
  Status SyncAll() override { return base_.SyncAll(); }
  Status Flush() override { return base_.Flush(); }
  uint64_t LastSequence() const override { return base_.LastSequence(); }
  Status Close() override { return base_.Close(); }
  MemEngine& base() { return base_; }

 private:
  MemEngine base_;
};

}  // namespace orrery::storage
