#include "orrery/sql/types/array.h"
#include "orrery/sql/types/numeric.h"
#include "orrery/sql/types/text_io.h"
#include "sql/types/coerce.h"
#include "sql/types/datetime.h"
#include "sql/types/utf8.h"

namespace orrery::sql {
namespace {

CastContext ContextOf(char c) {
  return c == 'i'   ? CastContext::kImplicit
         : c == 'a' ? CastContext::kAssignment
                    : CastContext::kExplicit;
}

char CategoryOf(Oid type) {
  const TypeInfo* const info = FindType(type);
  return info == nullptr ? '\0' : info->category;
}

// Casts that go through the text form without a row in pg_cast: to strings on assignment, from
// strings explicitly.
bool TextCastAllowed(Oid source, Oid target, CastContext context) {
  if (context == CastContext::kImplicit) return false;
  if (CategoryOf(target) == 'S') return true;
  return context == CastContext::kExplicit && CategoryOf(source) == 'S';
}

// Whether a polymorphic pseudo-type takes the type; false for other targets.
bool TakesAny(Oid target, Oid source) {
  switch (target) {
    case oid::kAny:
    case oid::kAnyelement:
    case oid::kAnycompatible:
      return true;
    case oid::kAnynonarray:
    case oid::kAnycompatiblenonarray:
      return ElementTypeOf(source) == oid::kInvalid;
    case oid::kAnyarray:
    case oid::kAnycompatiblearray:
      return source == oid::kUnknown || ElementTypeOf(source) != oid::kInvalid;
    default:
      return false;
  }
}
bool IsPolymorphic(Oid type) {
  return TakesAny(type, oid::kUnknown);
}

bool FindMethod(const FunctionCatalog& catalog, Oid source, CastPath& path) {
  const Oid target = path.target.oid;
  if (source == target || TakesAny(target, source)) {
    path.method = CastPath::Method::kRelabel;
    return true;
  }
  if (IsPolymorphic(target)) return false;
  if (source == oid::kUnknown) {
    path.method = CastPath::Method::kText;
    return true;
  }
  if (ElementTypeOf(source) != oid::kInvalid && ElementTypeOf(target) != oid::kInvalid) {
    CastPath element;
    element.source = ElementTypeOf(source);
    element.target = {ElementTypeOf(target), path.target.typmod};
    element.context = path.context;
    if (!FindMethod(catalog, element.source, element)) return false;
    path.method = CastPath::Method::kArray;
    path.element = std::make_shared<const CastPath>(std::move(element));
    return true;
  }
  const FunctionCatalog::CastRow* const row = catalog.FindCastRow(source, target);
  if (row == nullptr) {
    path.method = CastPath::Method::kText;
    return TextCastAllowed(source, target, path.context);
  }
  if (ContextOf(row->context) > path.context) return false;
  path.function = row->method == 'f' ? catalog.FindFunction(row->function) : nullptr;
  path.method = row->method == 'f'   ? CastPath::Method::kFunction
                : row->method == 'i' ? CastPath::Method::kText
                                     : CastPath::Method::kRelabel;
  return true;
}

Status FitLength(Type type, CastContext context, Datum* value) {
  const int32_t length = LengthOfTypmod(type.typmod);
  const std::string_view text = value->as_bytes();
  const size_t end = Utf8Prefix(text, size_t(length));
  if (end < text.size()) {
    const bool only_blanks = text.find_first_not_of(' ', end) == std::string_view::npos;
    if (context != CastContext::kExplicit && !only_blanks) {
      return Status(Code::kInvalidArgument, "22001",
                    "value too long for type " + std::string(TypeName(type.oid)) + "(" +
                        std::to_string(length) + ")");
    }
    *value = Datum::Bytes(std::string(text.substr(0, end)));
  } else if (type.oid == oid::kBpchar) {
    const size_t have = Utf8Length(text);
    if (have < size_t(length)) {
      std::string padded(text);
      padded.append(size_t(length) - have, ' ');
      *value = Datum::Bytes(padded);
    }
  }
  return OkStatus();
}

}  // namespace

Status ApplyTypmod(Type type, CastContext context, Datum* value) {
  if (type.typmod < 0 || value->is_null()) return OkStatus();
  switch (type.oid) {
    case oid::kVarchar:
    case oid::kBpchar:
      return FitLength(type, context, value);
    case oid::kNumeric: {
      ASSIGN_OR_RETURN(const Numeric rounded, Numeric::FromDatum(*value).ApplyTypmod(type.typmod));
      *value = rounded.ToDatum();
      return OkStatus();
    }
    case oid::kTime:
      *value = Datum::Int(RoundTime(value->as_int(), type.typmod));
      return OkStatus();
    case oid::kTimestamp:
    case oid::kTimestamptz: {
      ASSIGN_OR_RETURN(const int64_t rounded, RoundTimestamp(value->as_int(), type.typmod));
      *value = Datum::Int(rounded);
      return OkStatus();
    }
    case oid::kInterval: {
      ASSIGN_OR_RETURN(const Interval fitted, FitInterval(value->as_interval(), type.typmod));
      *value = Datum::OfInterval(fitted);
      return OkStatus();
    }
    default: {
      const Oid element = ElementTypeOf(type.oid);
      if (element == oid::kInvalid) return OkStatus();
      Array array = Array::Unpack(*value);
      for (Datum& e : array.elements) RETURN_IF_ERROR(ApplyTypmod({element, type.typmod}, context, &e));
      *value = array.Pack();
      return OkStatus();
    }
  }
}

StatusOr<CastPath> FindCast(const FunctionCatalog& catalog, Oid source, Type target,
                            CastContext context) {
  CastPath path;
  path.source = source;
  path.target = target;
  path.context = context;
  if (FindMethod(catalog, source, path)) return path;
  return Status(Code::kInvalidArgument, "42846",
                "cannot cast type " + std::string(TypeName(source)) + " to " +
                    std::string(TypeName(target.oid)));
}

bool CanCast(const FunctionCatalog& catalog, Oid source, Oid target, CastContext context) {
  CastPath path;
  path.target = {target, -1};
  path.context = context;
  return FindMethod(catalog, source, path);
}

Status EvaluateCast(EvalContext& context, const CastPath& path, const Datum& value, Datum* out) {
  if (value.is_null()) {
    *out = Datum();
    return OkStatus();
  }
  switch (path.method) {
    case CastPath::Method::kRelabel:
      *out = value;
      // OIDs are unsigned: −1::oid is 4294967295, and back.
      if (IsOidType(path.target.oid) && value.kind() == Datum::Kind::kInt) {
        *out = Datum::Int(int64_t(uint32_t(value.as_int())));
      } else if (path.target.oid == oid::kInt4 && IsOidType(path.source)) {
        *out = Datum::Int(int32_t(value.as_int()));
      }
      break;
    case CastPath::Method::kFunction:
      RETURN_IF_ERROR(path.function->evaluate(context, {&value, 1}, out));
      if (IsOidType(path.target.oid) && out->kind() == Datum::Kind::kInt) {
        *out = Datum::Int(int64_t(uint32_t(out->as_int())));
      }
      break;
    case CastPath::Method::kArray: {
      Array array = Array::Unpack(value);
      array.element = path.element->target.oid;
      for (Datum& element : array.elements) {
        Datum converted;
        RETURN_IF_ERROR(EvaluateCast(context, *path.element, element, &converted));
        element = converted.Owned();
      }
      *out = array.Pack();
      return OkStatus();
    }
    case CastPath::Method::kText: {
      // An interval's modifier says how to read plain numbers, so its input needs it.
      const Type type{path.target.oid, path.target.oid == oid::kInterval ? path.target.typmod : -1};
      if (IsStringType(path.source)) {
        ASSIGN_OR_RETURN(*out, ParseText(type, value.as_bytes(), context.format));
      } else {
        const std::string text = FormatText(path.source, value, context.format);
        ASSIGN_OR_RETURN(*out, ParseText(type, text, context.format));
      }
      break;
    }
  }
  return ApplyTypmod(path.target, path.context, out);
}

}  // namespace orrery::sql
