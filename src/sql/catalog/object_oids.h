// OIDs of what has no descriptor of its own: the index of a primary key, constraints, defaults. They follow from
// the table's id and the object's name, so every node computes the same ones without storing them.
#pragma once

#include <string_view>
#include <unordered_set>
#include <vector>

#include "orrery/base/hash.h"
#include "orrery/sql/catalog/descriptor.h"

namespace orrery::sql {

// Table ids stay below this; hashed OIDs lie in [kHashedOids, kIndexOids), indexes above.
inline constexpr Oid kHashedOids = 0x4000'0000;
inline constexpr Oid kIndexOids = 0x8000'0000;

inline Oid TableOid(const Table& table) { return Oid(table.id().value()); }
// The index of the primary key, and the constraint (another catalog, hence the same number).
inline Oid PrimaryKeyOid(const Table& table) { return kIndexOids + TableOid(table); }

// Deals out OIDs by hash; give it the tables in the order of their ids, always the same kind of object, and two
// objects never get the same number. A number moves only if an object with an equal hash comes or goes.
class HashedOids {
 public:
  Oid Next(const Table& table, std::string_view object) {
    const uint64_t hash = Hash64(object, table.id().value());
    Oid candidate = kHashedOids + Oid(hash % (kIndexOids - kHashedOids));
    while (!taken_.insert(candidate).second) candidate = kHashedOids + (candidate + 1) % (kIndexOids - kHashedOids);
    return candidate;
  }

 private:
  std::unordered_set<Oid> taken_;
};

}  // namespace orrery::sql
