// Overload resolution: PostgreSQL documentation, chapter 10 "Type Conversion"; the order of steps
// is that of func_select_candidate and oper_select_candidate.
#include <algorithm>
#include <functional>

#include "orrery/sql/types/array.h"
#include "orrery/sql/types/functions.h"

namespace orrery::sql {
namespace {

// A function or an operator, as far as choosing among overloads is concerned.
struct Candidate {
  std::vector<Oid> types;  // one a call argument
  const Function* function = nullptr;
  const Operator* op = nullptr;
};
using Candidates = std::vector<Candidate>;

char CategoryOf(Oid type) {
  const TypeInfo* const info = FindType(type);
  return info == nullptr ? '\0' : info->category;
}
bool IsPreferred(char category, Oid type) {
  const TypeInfo* const info = FindType(type);
  return info != nullptr && info->preferred && info->category == category;
}

// Keeps the candidates with the highest score.
void KeepBest(Candidates& candidates, const std::function<int(const Candidate&)>& score) {
  int best = -1;
  Candidates kept;
  for (Candidate& c : candidates) {
    const int s = score(c);
    if (s > best) {
      best = s;
      kept.clear();
    }
    if (s == best) kept.push_back(std::move(c));
  }
  candidates = std::move(kept);
}

// What the polymorphic types of one call stand for; 0 while every such argument is an unknown literal.
// anyelement and its kin all mean one type; anycompatible and its kin mean the common type of what is given.
struct Polymorphic {
  Oid element = oid::kInvalid;
  Oid compatible = oid::kInvalid;
};

bool IsArrayPseudoType(Oid type) { return type == oid::kAnyarray || type == oid::kAnycompatiblearray; }

// False if the arguments contradict each other.
bool Unify(const FunctionCatalog& catalog, std::span<const Oid> declared, std::span<const Oid> args,
           Polymorphic& out) {
  std::vector<Oid> compatible;
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == oid::kUnknown) continue;
    const Oid type = IsArrayPseudoType(declared[i]) ? ElementTypeOf(args[i]) : args[i];
    switch (declared[i]) {
      case oid::kAnyarray:
      case oid::kAnyelement:
      case oid::kAnynonarray:
        if (out.element != oid::kInvalid && out.element != type) return false;
        out.element = type;
        break;
      case oid::kAnycompatible:
      case oid::kAnycompatiblearray:
      case oid::kAnycompatiblenonarray:
        compatible.push_back(type);
        break;
      default:
        break;
    }
  }
  if (compatible.empty()) return true;
  const auto common = CommonType(catalog, compatible, "");
  if (!common.ok()) return false;
  out.compatible = *common;
  return std::ranges::all_of(
      compatible, [&](Oid type) { return CanCast(catalog, type, *common, CastContext::kImplicit); });
}

bool Accepts(const FunctionCatalog& catalog, const Candidate& c, std::span<const Oid> args) {
  for (size_t i = 0; i < args.size(); ++i) {
    if (!CanCast(catalog, args[i], c.types[i], CastContext::kImplicit)) return false;
  }
  Polymorphic unused;
  return Unify(catalog, c.types, args, unused);
}

// The category of type assumed for unknown argument `i`, and whether it has a preferred type among
// the candidates;
// '\0' if the candidates disagree.
char CategoryForUnknown(const Candidates& candidates, size_t i, bool& has_preferred) {
  char category = '\0';
  bool conflict = false;
  has_preferred = false;
  for (const Candidate& c : candidates) {
    const TypeInfo* const info = FindType(c.types[i]);
    const char own = info == nullptr ? '\0' : info->category;
    if (category == '\0') {
      category = own;
      has_preferred = info != nullptr && info->preferred;
    } else if (own == category) {
      has_preferred |= info->preferred;
    } else if (own == 'S') {  // strings are preferred for what looks like a string
      category = own;
      has_preferred = info->preferred;
      conflict = false;
      continue;
    } else {
      conflict = category != 'S' || conflict;
    }
  }
  return conflict && category != 'S' ? '\0' : category;
}

bool ResolveUnknownsByCategory(Candidates& candidates, std::span<const Oid> args) {
  std::vector<char> categories(args.size());
  std::vector<char> wants_preferred(args.size());
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] != oid::kUnknown) continue;
    bool has_preferred = false;
    categories[i] = CategoryForUnknown(candidates, i, has_preferred);
    wants_preferred[i] = has_preferred;
    if (categories[i] == '\0') return false;
  }
  Candidates kept;
  for (const Candidate& c : candidates) {
    bool fits = true;
    for (size_t i = 0; i < args.size() && fits; ++i) {
      if (args[i] != oid::kUnknown) continue;
      fits = CategoryOf(c.types[i]) == categories[i] &&
             (!wants_preferred[i] || IsPreferred(categories[i], c.types[i]));
    }
    if (fits) kept.push_back(c);
  }
  if (!kept.empty()) candidates = std::move(kept);
  return true;
}

// Leaves exactly one candidate, or returns false.
bool SelectCandidate(const FunctionCatalog& catalog, Candidates& candidates,
                     std::span<const Oid> args) {
  KeepBest(candidates, [&](const Candidate& c) {
    int exact = 0;
    for (size_t i = 0; i < args.size(); ++i) {
      exact += args[i] != oid::kUnknown && c.types[i] == args[i];
    }
    return exact;
  });
  if (candidates.size() == 1) return true;
  KeepBest(candidates, [&](const Candidate& c) {
    int matches = 0;
    for (size_t i = 0; i < args.size(); ++i) {
      if (args[i] == oid::kUnknown) continue;
      matches += c.types[i] == args[i] || IsPreferred(CategoryOf(args[i]), c.types[i]);
    }
    return matches;
  });
  if (candidates.size() == 1) return true;
  const auto unknowns = std::ranges::count(args, oid::kUnknown);
  if (unknowns == 0) return false;
  if (ResolveUnknownsByCategory(candidates, args) && candidates.size() == 1) return true;
  if (size_t(unknowns) == args.size()) return false;
  // Last heuristic: the unknown arguments have the type of the known ones, if those agree.
  Oid known = oid::kInvalid;
  for (const Oid arg : args) {
    if (arg == oid::kUnknown) continue;
    if (known != oid::kInvalid && known != arg) return false;
    known = arg;
  }
  const std::vector<Oid> assumed(args.size(), known);
  std::erase_if(candidates, [&](const Candidate& c) { return !Accepts(catalog, c, assumed); });
  return candidates.size() == 1;
}

std::string TypeList(std::span<const Oid> types) {
  std::string text;
  for (const Oid type : types) {
    if (!text.empty()) text += ", ";
    text += TypeName(type);
  }
  return text;
}

Status FunctionError(const FunctionCatalog& catalog, std::string_view name,
                     std::span<const Oid> args, bool ambiguous) {
  const std::string call = std::string(name) + "(" + TypeList(args) + ")";
  if (ambiguous) {
    return Status(Code::kInvalidArgument, "42725", "function " + call + " is not unique")
        .WithHint(
            "Could not choose a best candidate function. You might need to add explicit "
            "type casts.");
  }
  if (catalog.IsKnownButUnsupported(name)) return UnsupportedError("function " + call);
  return Status(Code::kInvalidArgument, "42883", "function " + call + " does not exist")
      .WithHint(
          "No function matches the given name and argument types. You might need to add "
          "explicit type casts.");
}

Candidates FunctionCandidates(const FunctionCatalog& catalog, std::string_view name, size_t count) {
  Candidates candidates;
  for (const Function* f : catalog.Overloads(name)) {
    Candidate c;
    c.types = f->arguments;
    c.function = f;
    if (f->variadic_any && count >= c.types.size()) c.types.resize(count, oid::kAny);
    if (count < c.types.size() && count + f->defaults >= c.types.size()) c.types.resize(count);
    if (c.types.size() == count) candidates.push_back(std::move(c));
  }
  return candidates;
}

// The type an argument or a result really gets: "any" takes what comes, unknown literals of polymorphic types
// are text.
Oid Concrete(Oid declared, Oid actual, const Polymorphic& polymorphic) {
  const auto known = [](Oid type) { return type == oid::kInvalid ? oid::kText : type; };
  switch (declared) {
    case oid::kAny:
      return actual;
    case oid::kAnyelement:
    case oid::kAnynonarray:
      return known(polymorphic.element);
    case oid::kAnyarray:
      return ArrayTypeOf(polymorphic.element);
    case oid::kAnycompatible:
    case oid::kAnycompatiblenonarray:
      return known(polymorphic.compatible);
    case oid::kAnycompatiblearray:
      return ArrayTypeOf(known(polymorphic.compatible));
    default:
      return declared;
  }
}

Status Undetermined() {
  return Status(Code::kInvalidArgument, "42804",
                "could not determine polymorphic type because input has type unknown");
}

std::string OperatorText(std::string_view name, Oid left, Oid right) {
  std::string text;
  if (left != oid::kInvalid) text = std::string(TypeName(left)) + " ";
  return text + std::string(name) + " " + std::string(TypeName(right));
}

}  // namespace

StatusOr<ResolvedFunction> ResolveFunction(const FunctionCatalog& catalog, std::string_view name,
                                           std::span<const Oid> args) {
  Candidates candidates = FunctionCandidates(catalog, name, args.size());
  for (const Candidate& c : candidates) {
    if (std::ranges::equal(c.types, args)) return ResolvedFunction{c.function, c.types, c.function->result};
  }
  std::erase_if(candidates, [&](const Candidate& c) { return !Accepts(catalog, c, args); });
  if (candidates.empty()) return FunctionError(catalog, name, args, false);
  if (candidates.size() > 1 && !SelectCandidate(catalog, candidates, args)) {
    return FunctionError(catalog, name, args, true);
  }
  Polymorphic polymorphic;
  (void)Unify(catalog, candidates[0].types, args, polymorphic);  // holds: the candidate was accepted
  ResolvedFunction result{candidates[0].function, candidates[0].types, oid::kInvalid};
  result.result = Concrete(result.function->result, oid::kInvalid, polymorphic);
  if (result.result == oid::kInvalid) return Undetermined();
  for (size_t i = 0; i < args.size(); ++i) {
    result.argument_types[i] = Concrete(result.argument_types[i], args[i], polymorphic);
    if (result.argument_types[i] == oid::kInvalid) return Undetermined();
  }
  return result;
}

StatusOr<ResolvedOperator> ResolveOperator(const FunctionCatalog& catalog, std::string_view name,
                                           Oid left, Oid right) {
  const bool prefix = left == oid::kInvalid;
  Oid assumed_left = left;
  Oid assumed_right = right;
  if (!prefix && left == oid::kUnknown) assumed_left = right;
  if (!prefix && right == oid::kUnknown) assumed_right = left;
  if (const Operator* op = catalog.ExactOperator(name, assumed_left, assumed_right)) {
    return ResolvedOperator{op, op->left, op->right, op->result};
  }
  std::vector<Oid> args;
  if (!prefix) args.push_back(left);
  args.push_back(right);
  Candidates candidates;
  for (const Operator* op : catalog.OperatorOverloads(name)) {
    if ((op->left == oid::kInvalid) != prefix) continue;
    Candidate c;
    if (!prefix) c.types.push_back(op->left);
    c.types.push_back(op->right);
    c.op = op;
    if (Accepts(catalog, c, args)) candidates.push_back(std::move(c));
  }
  const std::string text = OperatorText(name, left, right);
  if (candidates.empty()) {
    return Status(Code::kInvalidArgument, "42883", "operator does not exist: " + text)
        .WithHint(prefix ? "No operator matches the given name and argument type. You might need "
                           "to add an explicit type cast."
                         : "No operator matches the given name and argument types. You might need "
                           "to add explicit type casts.");
  }
  if (candidates.size() > 1 && !SelectCandidate(catalog, candidates, args)) {
    return Status(Code::kInvalidArgument, "42725", "operator is not unique: " + text)
        .WithHint(prefix ? "Could not choose a best candidate operator. You might need to add an "
                           "explicit type cast."
                         : "Could not choose a best candidate operator. You might need to add "
                           "explicit type casts.");
  }
  const Operator* const op = candidates[0].op;
  Polymorphic polymorphic;
  (void)Unify(catalog, candidates[0].types, args, polymorphic);
  ResolvedOperator out{op, Concrete(op->left, left, polymorphic), Concrete(op->right, right, polymorphic),
                       Concrete(op->result, oid::kInvalid, polymorphic)};
  if ((!prefix && out.left == oid::kInvalid) || out.right == oid::kInvalid || out.result == oid::kInvalid) {
    return Undetermined();
  }
  return out;
}

StatusOr<Oid> CommonType(const FunctionCatalog& catalog, std::span<const Oid> types,
                         std::string_view construct) {
  Oid common = oid::kUnknown;
  for (const Oid type : types) {
    if (type == oid::kUnknown || type == common) continue;
    if (common == oid::kUnknown) {
      common = type;
      continue;
    }
    const char category = CategoryOf(common);
    if (CategoryOf(type) != category) {
      return Status(Code::kInvalidArgument, "42804",
                    std::string(construct) + " types " + std::string(TypeName(common)) + " and " +
                        std::string(TypeName(type)) + " cannot be matched");
    }
    if (!IsPreferred(category, common) && CanCast(catalog, common, type, CastContext::kImplicit) &&
        !CanCast(catalog, type, common, CastContext::kImplicit)) {
      common = type;
    }
  }
  return common == oid::kUnknown ? oid::kText : common;
}

int32_t CommonTypmod(std::span<const Type> types) {
  for (const Type& type : types) {
    if (type != types[0]) return -1;
  }
  return types.empty() ? -1 : types[0].typmod;
}

}  // namespace orrery::sql
