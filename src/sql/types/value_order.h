// Orders of single representations, shared by comparison, hashing and key encoding. Pure functions.
#pragma once

#include <compare>
#include <string_view>

#include "orrery/sql/types/datum.h"

namespace orrery::sql {

// −inf < … < −0 = 0 < … < inf < NaN = NaN.
std::strong_ordering CompareFloats(double a, double b);
// An interval as microseconds with months of 30 days and days of 24 hours: what PostgreSQL
// compares.
__int128 IntervalSpan(const Interval& value);
// char(n) compares without them.
std::string_view WithoutTrailingBlanks(std::string_view text);

}  // namespace orrery::sql
