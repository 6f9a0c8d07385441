// StatusOr<T>: a T, or the Status that says why there is none. The Status inside is never OK.
#pragma once

#include <optional>
#include <utility>

#include "orrery/base/assert.h"
#include "orrery/base/status.h"

namespace orrery {

template <class T>
class [[nodiscard]] StatusOr {
 public:
  StatusOr(Status status) : status_(std::move(status)) {  // NOLINT: implicit by design
    ORRERY_ASSERT(!status_.ok(), "StatusOr: an OK status needs a value");
  }
  StatusOr(T value) : value_(std::move(value)) {}  // NOLINT: implicit by design
  template <class U>
    requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
             !std::is_same_v<std::remove_cvref_t<U>, Status> &&
             !std::is_same_v<std::remove_cvref_t<U>, StatusOr<T>>)
  StatusOr(U&& value) : value_(std::forward<U>(value)) {}  // NOLINT: implicit by design

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Precondition: ok().
  T& value() & { return Checked(); }
  const T& value() const& { return const_cast<StatusOr*>(this)->Checked(); }
  T&& value() && { return std::move(Checked()); }
  T& operator*() & { return Checked(); }
  const T& operator*() const& { return const_cast<StatusOr*>(this)->Checked(); }
  T&& operator*() && { return std::move(Checked()); }
  T* operator->() { return &Checked(); }
  const T* operator->() const { return &const_cast<StatusOr*>(this)->Checked(); }

 private:
  T& Checked() {
    ORRERY_ASSERT(value_.has_value(), "StatusOr: value() of an error");
    return *value_;
  }
  Status status_;
  std::optional<T> value_;
};

}  // namespace orrery

#define ORRERY_CONCAT_INNER_(a, b) a##b
#define ORRERY_CONCAT_(a, b) ORRERY_CONCAT_INNER_(a, b)
#define ORRERY_ASSIGN_OR_RETURN_(tmp, lhs, expr) \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return tmp.status();            \
  lhs = std::move(*tmp)
// ASSIGN_OR_RETURN(auto x, F()): x = value of F(), or return its Status.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ORRERY_ASSIGN_OR_RETURN_(ORRERY_CONCAT_(status_or_, __LINE__), lhs, expr)
