// Row values: ROW(1, 'x') and references to a whole row. A Datum of type record holds PostgreSQL's binary form
// (record_send): the number of fields; type, length and bytes of each. Pure functions; thread-safe.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/eval_context.h"
#include "orrery/sql/types/functions.h"

namespace orrery::sql {

// (1,x,,"a b"): a null field is empty.
void AppendRecordText(const Datum& record, const FormatContext& context, std::string& out);
// Field by field; nulls last. Fields of different types compare by their types' OIDs.
std::strong_ordering CompareRecords(const Datum& a, const Datum& b);
uint64_t HashRecord(const Datum& record, uint64_t seed);

// ROW(…): all arguments as they are. WholeRow is the same but NULL if all its fields are: the row an outer join
// did not find.
const Function& RecordConstructor();
const Function& WholeRow();

}  // namespace orrery::sql
