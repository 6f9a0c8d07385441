// The engine contract: four ordered maps of bytes (ColumnFamily) under one write-ahead log. Two engines keep
// it: RocksDbEngine (rocksdb_engine.h) on disk, MemEngine (mem_engine.h) as model and for simulation.
//
// An Engine exposes logical results alone: sizes, timings and stalls go to observability and never into
// decisions, so that a run with either engine is the same run. Readers: Engine (newest state), EngineSnapshot
// (one point in time), OverlayBatch (overlay_batch.h: a reader plus the writes of one evaluation).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "orrery/base/status_or.h"
#include "orrery/storage/write_batch.h"

namespace orrery::storage {

// Walks one column family in bytewise key order, over the state as it was when the iterator was made.
// Positioned nowhere at first. When Valid() turns false, the walk has ended *or failed*: callers check
// status() then, always (B56). Thread safety: one task at a time. Must not outlive its Reader.
class Iterator {
 public:
  virtual ~Iterator() = default;
  // To the first key >= target / the last key <= target, within the bounds.
  virtual void Seek(std::string_view target) = 0;
  virtual void SeekForPrev(std::string_view target) = 0;
  virtual void SeekToFirst() = 0;
  virtual void SeekToLast() = 0;
  // Precondition: Valid().
  virtual void Next() = 0;
  virtual void Prev() = 0;
  virtual bool Valid() const = 0;
  // Precondition: Valid(). The views live until the iterator moves.
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  // OK, or why the walk stopped: DataLoss (a block failed its checksum) or an I/O error.
  virtual Status status() const = 0;
};

struct IteratorOptions {
  std::string lower;  // first key of interest; empty: from the beginning
  std::string upper;  // first key beyond; empty: to the end
};

// Reads of one state. Thread safety: const methods may be called by many tasks at once on Engine and
// EngineSnapshot; an OverlayBatch belongs to one task.
class Reader {
 public:
  virtual ~Reader() = default;

  // Copies the key's value into `value`, re-using its memory; false (and `value` unspecified) if there is
  // none. DataLoss if the stored bytes fail their checks.
  virtual StatusOr<bool> GetInto(ColumnFamily cf, std::string_view key, std::string& value) const = 0;
  StatusOr<std::optional<std::string>> Get(ColumnFamily cf, std::string_view key) const;

  // Never null; a failure shows in status().
  virtual std::unique_ptr<Iterator> NewIterator(ColumnFamily cf, IteratorOptions options) const = 0;

  // The first entry with key >= `target` that shares target's first `prefix_bytes` bytes: copies it into
  // `key` and `value`; false if there is none. For kMvcc and kLock the prefix must be a whole encoded user key
  // (mvcc/keys.h): that is what the engine keeps prefix filters on. The hot path of point reads.
  virtual StatusOr<bool> SeekInPrefix(ColumnFamily cf, std::string_view target, size_t prefix_bytes,
                                      std::string& key, std::string& value) const = 0;
};

// A point in time of a whole engine. Cheap, but keeps old data alive: hold it for a request, not for a session.
class EngineSnapshot : public Reader {};

enum class SyncMode : uint8_t {
  kNoSync,  // applied and visible; durable once any later kSync write returns (one WAL, in order)
  kSync,    // durable, with everything written before it, when Write returns
};

// Rows on their way into an engine, which is to outlive this. Dropped, they vanish.
class PreparedLoad {
 public:
  virtual ~PreparedLoad() = default;
};

enum class SpaceLevel : uint8_t {  // on the wire (docs/formats/raft_log.md)
  kEnough = 0,
  kFull = 1,       // no new data: the rest is for what must go on (raft's own records, commits, deletions)
  kExhausted = 2,  // nothing that can still be refused
};
struct DiskSpace {
  SpaceLevel level = SpaceLevel::kEnough;
  Status status;  // 53100 below kEnough
};

// One store. Thread safety: all methods, except Close, by many tasks at once. After a crash the state is that
// of some prefix of the sequence of writes, at least up to the last kSync write that returned (I25).
class Engine : public Reader {
 public:
  // Must not outlive the engine.
  virtual std::unique_ptr<EngineSnapshot> NewSnapshot() const = 0;

  // Applies the batch atomically. Concurrent kSync writes share one sync. Errors leave the batch unapplied, and
  // the engine refuses further writes while reads go on: ResourceExhausted 53100 (disk full),
  // Unavailable 58030 (I/O error; the engine's fatal handler ran first, B53).
  virtual Status Write(const WriteBatch& batch, SyncMode sync) = 0;
  // A load's rows, with or without intents (WriteBatch::IsLoad; at least one row), which are best written once:
  // PrepareLoad brings them to disk without any effect, Ingest makes them visible, atomically and durable. They may
  // outlive a crash that earlier unsynced writes do not: only what can be written again after those, to the same
  // effect, may come this way (a committed entry of a log that is kept until its effects are durable). Errors: as
  // Write; but a PrepareLoad that finds the disk full (53100) leaves the engine as it was.
  virtual StatusOr<std::unique_ptr<PreparedLoad>> PrepareLoad(const WriteBatch& rows);
  // `prepared`: of the same rows; null: it is done now.
  virtual Status Ingest(const WriteBatch& rows, std::unique_ptr<PreparedLoad> prepared);
  // How full the disk is. The engine itself takes all writes at every level; its callers refuse them while a refusal is
  // still certain. Asks the file system, and is to be asked often, as compactions get what room it finds.
  virtual DiskSpace CheckSpace() const = 0;
  // Makes everything written so far durable.
  virtual Status SyncAll() = 0;
  // Writes buffered data to its final files; for tests and an orderly stop. Not needed for durability.
  virtual Status Flush() = 0;

  // A number that grows with each write and survives restarts; after a crash it tells how long the recovered
  // prefix is (durability witness, correctness.md 7b).
  virtual uint64_t LastSequence() const = 0;

  // Ends the engine in order; later calls fail. All iterators and snapshots must be gone.
  virtual Status Close() = 0;
};

}  // namespace orrery::storage
