// Text forms of the scalar types other than dates and times. Pure functions; errors carry
// PostgreSQL's texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "orrery/base/status_or.h"
#include "orrery/sql/types/oid.h"

namespace orrery::sql {

std::string_view TrimSpace(std::string_view text);  // isspace() of the C locale
StatusOr<bool> ParseBool(std::string_view text);
// A signed integer within [min, max]; `type_name` for the errors.
StatusOr<int64_t> ParseInteger(std::string_view text, int64_t min, int64_t max,
                               std::string_view type_name);
StatusOr<int64_t> ParseOid(std::string_view text);
// float8, or float4 (then the value is a float's).
StatusOr<double> ParseFloat(std::string_view text, Oid type);
StatusOr<std::string> ParseBytea(std::string_view text);
StatusOr<std::string> ParseUuid(std::string_view text);

// `extra_digits` is the setting extra_float_digits.
void AppendFloat8(double value, int extra_digits, std::string& out);
void AppendFloat4(float value, int extra_digits, std::string& out);
void AppendByteaHex(std::string_view bytes, std::string& out);
void AppendByteaEscape(std::string_view bytes, std::string& out);
void AppendUuid(std::string_view bytes, std::string& out);

// The digits of "\x…" and decode(…, 'hex'); blanks between bytes are skipped. 22023 if malformed.
StatusOr<std::string> DecodeHex(std::string_view digits);

}  // namespace orrery::sql
