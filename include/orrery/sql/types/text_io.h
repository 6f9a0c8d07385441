// Text and binary forms of values: PostgreSQL's input, output, receive and send functions. Pure
// functions of their arguments and the FormatContext.
#pragma once

#include <string>
#include <string_view>

#include "orrery/base/status_or.h"
#include "orrery/sql/types/datum.h"
#include "orrery/sql/types/eval_context.h"
#include "orrery/sql/types/type.h"

namespace orrery::sql {

// The value a literal of this type denotes, coerced to the type's modifier as PostgreSQL's input
// functions do (varchar(n) too long is 22001, numeric is rounded). The result owns its bytes.
// Errors: 22P02, 22003, 22007, 22008 … with PostgreSQL's text.
StatusOr<Datum> ParseText(Type type, std::string_view text, const FormatContext& context);

// Appends the text form of a non-null value.
void AppendText(Oid type, const Datum& value, const FormatContext& context, std::string& out);
std::string FormatText(Oid type, const Datum& value, const FormatContext& context);

// The value of a parameter in the binary format (protocol format code 1). 22P03 if the bytes are
// not of that type; 22021 for text that is not UTF-8. The result owns its bytes.
StatusOr<Datum> ReceiveBinary(Type type, std::string_view bytes);
// Appends the binary form of a non-null value, without its length word.
void AppendBinary(Oid type, const Datum& value, std::string& out);

// True if the bytes are well-formed UTF-8 without a zero byte: what text may hold.
bool IsValidText(std::string_view bytes);
// OkStatus if it is; else 22021, naming the first bytes that are not, as PostgreSQL does.
Status CheckText(std::string_view bytes);

}  // namespace orrery::sql
