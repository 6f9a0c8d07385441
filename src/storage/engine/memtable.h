// The memtable of our stores: a skip list like RocksDB's own, for one writer at a time. Debian's RocksDB is built with its
// assertions, of which those inside its skip list compare three keys for each that the search has to look at; with the
// comparison inlined as well, an insertion at a random place costs a third.
//
// Thread safety: as RocksDB asks of a memtable, one thread inserts (allow_concurrent_memtable_write must be off), any number
// read meanwhile. Keys are compared bytewise, whatever the family's comparator says: ours have no other.
#pragma once

#include <memory>

#include "rocksdb/memtablerep.h"

namespace orrery::storage {

std::shared_ptr<rocksdb::MemTableRepFactory> MakeMemtableFactory();

}  // namespace orrery::storage
