// LIKE matching and compiled regular expressions, with the cache that keeps compiled ones.
#pragma once

#include <re2/re2.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "orrery/base/status_or.h"
#include "orrery/sql/types/eval_cache.h"
#include "orrery/sql/types/eval_context.h"

namespace orrery::sql {

struct EvalCache::Rep {
  std::map<std::string, std::shared_ptr<const re2::RE2>, std::less<>> patterns;
};

// SQL LIKE with the escape character '\'. 22025 for a pattern that ends in one.
StatusOr<bool> MatchLike(std::string_view text, std::string_view pattern);
StatusOr<bool> MatchLikeIgnoringCase(std::string_view text, std::string_view pattern);

// A regular expression with flags of regexp_replace ('i', 'c', 'n', 's' …; 'g' is the caller's). 2201B if it is
// malformed; 0A000 for back-references and look-around, which RE2's linear-time matching does not have.
StatusOr<std::shared_ptr<const re2::RE2>> CompilePattern(const EvalContext& context,
                                                         std::string_view pattern,
                                                         std::string_view flags);

}  // namespace orrery::sql
