#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "orrery/sql/types/numeric.h"
#include "sql/types/errors.h"
#include "sql/types/evaluators.h"

namespace orrery::sql {
namespace {

template <class T>
constexpr std::string_view kTypeName = sizeof(T) == 2   ? "smallint"
                                       : sizeof(T) == 4 ? "integer"
                                                        : "bigint";

template <class T>
Status Narrow(__int128 value, Datum* out) {
  if (value < std::numeric_limits<T>::min() || value > std::numeric_limits<T>::max()) {
    return OutOfRange(kTypeName<T>);
  }
  *out = Datum::Int(int64_t(value));
  return OkStatus();
}

template <class T>
Status Plus(EvalContext&, Args a, Datum* out) {
  return Narrow<T>(static_cast<__int128>(a[0].as_int()) + a[1].as_int(), out);
}
template <class T>
Status Minus(EvalContext&, Args a, Datum* out) {
  return Narrow<T>(static_cast<__int128>(a[0].as_int()) - a[1].as_int(), out);
}
template <class T>
Status Times(EvalContext&, Args a, Datum* out) {
  return Narrow<T>(static_cast<__int128>(a[0].as_int()) * a[1].as_int(), out);
}
template <class T>
Status Divide(EvalContext&, Args a, Datum* out) {
  if (a[1].as_int() == 0) return DivisionByZero();
  return Narrow<T>(static_cast<__int128>(a[0].as_int()) / a[1].as_int(), out);
}
template <class T>
Status Remainder(EvalContext&, Args a, Datum* out) {
  if (a[1].as_int() == 0) return DivisionByZero();
  *out = Datum::Int(a[1].as_int() == -1 ? 0 : a[0].as_int() % a[1].as_int());
  return OkStatus();
}

template <class T>
void AddArithmetic(EvaluatorTable& table, const std::string& prefix) {
  table.Add(prefix + "pl", &Plus<T>);
  table.Add(prefix + "mi", &Minus<T>);
  table.Add(prefix + "mul", &Times<T>);
  table.Add(prefix + "div", &Divide<T>);
}

// Greatest common divisor of magnitudes; the result may not fit T.
__int128 GcdOf(int64_t a, int64_t b) {
  __int128 x = a < 0 ? -static_cast<__int128>(a) : a;
  __int128 y = b < 0 ? -static_cast<__int128>(b) : b;
  while (y != 0) {
    const __int128 rest = x % y;
    x = y;
    y = rest;
  }
  return x;
}

template <class T>
void AddGcd(EvaluatorTable& table, const std::string& prefix) {
  table.Add(prefix + "gcd", [](EvalContext&, Args a, Datum* out) -> Status {
    return Narrow<T>(GcdOf(a[0].as_int(), a[1].as_int()), out);
  });
  table.Add(prefix + "lcm", [](EvalContext&, Args a, Datum* out) -> Status {
    const int64_t x = a[0].as_int();
    const int64_t y = a[1].as_int();
    if (x == 0 || y == 0) {
      *out = Datum::Int(0);
      return OkStatus();
    }
    __int128 product = static_cast<__int128>(x) / GcdOf(x, y) * y;
    if (product < 0) product = -product;
    return Narrow<T>(product, out);
  });
}

template <class T>
void AddUnaryAndBits(EvaluatorTable& table, const std::string& prefix) {
  using U = std::make_unsigned_t<T>;
  table.Add(prefix + "um", [](EvalContext&, Args a, Datum* out) -> Status {
    return Narrow<T>(-static_cast<__int128>(a[0].as_int()), out);
  });
  table.Add(prefix + "up", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = a[0];
    return OkStatus();
  });
  table.Add(prefix + "abs", [](EvalContext&, Args a, Datum* out) -> Status {
    const __int128 v = a[0].as_int();
    return Narrow<T>(v < 0 ? -v : v, out);
  });
  table.Add(prefix + "mod", &Remainder<T>);
  table.Add(prefix + "and", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(a[0].as_int() & a[1].as_int());
    return OkStatus();
  });
  table.Add(prefix + "or", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(a[0].as_int() | a[1].as_int());
    return OkStatus();
  });
  table.Add(prefix + "xor", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(a[0].as_int() ^ a[1].as_int());
    return OkStatus();
  });
  table.Add(prefix + "not", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(~a[0].as_int());
    return OkStatus();
  });
  // Shift counts wrap as on the machines PostgreSQL runs on: 5 bits for int2 and int4, 6 for int8.
  table.Add(prefix + "shl", [](EvalContext&, Args a, Datum* out) -> Status {
    using Wide = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
    const int count = int(a[1].as_int()) & (sizeof(T) == 8 ? 63 : 31);
    *out = Datum::Int(T(U(Wide(a[0].as_int()) << count)));
    return OkStatus();
  });
  table.Add(prefix + "shr", [](EvalContext&, Args a, Datum* out) -> Status {
    const int count = int(a[1].as_int()) & (sizeof(T) == 8 ? 63 : 31);
    *out = Datum::Int(a[0].as_int() >> count);
    return OkStatus();
  });
}

template <class T>
Status NarrowInt(EvalContext&, Args a, Datum* out) {
  return Narrow<T>(a[0].as_int(), out);
}
Status Same(EvalContext&, Args a, Datum* out) {
  *out = a[0];
  return OkStatus();
}

// Rounds half to even, as rint() does for PostgreSQL's casts from float.
template <class T>
Status FromFloat(EvalContext&, Args a, Datum* out) {
  const double rounded = std::nearbyint(a[0].as_float());
  constexpr double kMin = double(std::numeric_limits<T>::min());
  if (std::isnan(rounded) || rounded < kMin || rounded >= -kMin) return OutOfRange(kTypeName<T>);
  *out = Datum::Int(int64_t(rounded));
  return OkStatus();
}

Status IntToFloat8(EvalContext&, Args a, Datum* out) {
  *out = Datum::Float(double(a[0].as_int()));
  return OkStatus();
}
Status IntToFloat4(EvalContext&, Args a, Datum* out) {
  *out = Datum::Float(double(float(a[0].as_int())));
  return OkStatus();
}
Status IntToNumeric(EvalContext&, Args a, Datum* out) {
  *out = Numeric::FromInt(a[0].as_int()).ToDatum();
  return OkStatus();
}

void AddCasts(EvaluatorTable& table) {
  table.Add("i2toi4", &Same);
  table.Add("int28", &Same);
  table.Add("int48", &Same);
  table.Add("oidtoi8", &Same);
  table.Add("i4toi2", &NarrowInt<int16_t>);
  table.Add("int82", &NarrowInt<int16_t>);
  table.Add("int84", &NarrowInt<int32_t>);
  table.Add("i8tooid", [](EvalContext&, Args a, Datum* out) -> Status {
    const int64_t v = a[0].as_int();
    if (v < 0 || v > int64_t(UINT32_MAX)) return OutOfRange("OID");
    *out = a[0];
    return OkStatus();
  });
  table.Add("dtoi2", &FromFloat<int16_t>);
  table.Add("dtoi4", &FromFloat<int32_t>);
  table.Add("dtoi8", &FromFloat<int64_t>);
  table.Add("ftoi2", &FromFloat<int16_t>);
  table.Add("ftoi4", &FromFloat<int32_t>);
  table.Add("ftoi8", &FromFloat<int64_t>);
  for (const char* symbol : {"i2tod", "i4tod", "i8tod"}) table.Add(symbol, &IntToFloat8);
  for (const char* symbol : {"i2tof", "i4tof", "i8tof"}) table.Add(symbol, &IntToFloat4);
  for (const char* symbol : {"int2_numeric", "int4_numeric", "int8_numeric"}) {
    table.Add(symbol, &IntToNumeric);
  }
  table.Add("int4_bool", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Bool(a[0].as_int() != 0);
    return OkStatus();
  });
  table.Add("bool_int4", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(a[0].as_bool() ? 1 : 0);
    return OkStatus();
  });
  table.Add("chartoi4", [](EvalContext&, Args a, Datum* out) -> Status {
    *out = Datum::Int(int8_t(a[0].as_int()));
    return OkStatus();
  });
  table.Add("i4tochar", [](EvalContext&, Args a, Datum* out) -> Status {
    const int64_t v = a[0].as_int();
    if (v < -128 || v > 127) return OutOfRange("\"char\"");
    *out = Datum::Int(uint8_t(v));
    return OkStatus();
  });
}

}  // namespace

void RegisterIntegerFunctions(EvaluatorTable& table) {
  for (const char* prefix : {"int2", "int4", "int8", "int24", "int28", "int42", "int48", "int82",
                             "int84", "oid", "char"}) {
    table.AddComparisons<&CompareAs<oid::kInt8>>(prefix);
  }
  table.AddComparisons<&CompareAs<oid::kBool>>("bool");
  table.AddComparisons<&CompareAs<oid::kUuid>>("uuid_");
  for (const char* prefix : {"int2", "int4", "int8", "oid"}) {
    table.AddLargerSmaller<&CompareAs<oid::kInt8>>(prefix);
  }
  table.AddCmp<&CompareAs<oid::kUuid>>("uuid_cmp");
  AddArithmetic<int16_t>(table, "int2");
  for (const char* prefix : {"int4", "int24", "int42"}) AddArithmetic<int32_t>(table, prefix);
  for (const char* prefix : {"int8", "int28", "int48", "int82", "int84"}) {
    AddArithmetic<int64_t>(table, prefix);
  }
  AddUnaryAndBits<int16_t>(table, "int2");
  AddUnaryAndBits<int32_t>(table, "int4");
  AddUnaryAndBits<int64_t>(table, "int8");
  AddGcd<int32_t>(table, "int4");
  AddGcd<int64_t>(table, "int8");
  table.Add("int8inc", [](EvalContext&, Args a, Datum* out) -> Status {
    return Narrow<int64_t>(static_cast<__int128>(a[0].as_int()) + 1, out);
  });
  table.Add("int4inc", [](EvalContext&, Args a, Datum* out) -> Status {
    return Narrow<int32_t>(a[0].as_int() + 1, out);
  });
  AddCasts(table);
}

}  // namespace orrery::sql
