// The memtable of our stores: a skip list like RocksDB's own, for one writer at a time. Debian's RocksDB is built with its
// assertions, of which those inside its skip list compare three keys for each that the search has to look at; with the
// comparison inlined as well, an insertion at a random place costs a third.
//
// Thread safety: as RocksDB asks of a memtable, one thread inserts (allow_concurrent_memtable_write must be off), any number
// read meanwhile. Keys are compared bytewise, whatever the family's comparator says: ours have no other.
#pragma once

#include <memory>
#include <string_view>

#include "rocksdb/memtablerep.h"

namespace orrery::storage {

// Keys of one kind are mostly written side by side: the search for a key's place begins where the last of its kind went. Empty: of none.
using KindOfKey = std::string_view (*)(std::string_view user_key);

// `kind_of`: null if no key is of any kind.
std::shared_ptr<rocksdb::MemTableRepFactory> MakeMemtableFactory(KindOfKey kind_of);

}  // namespace orrery::storage
