// What routing asks of a request: where it goes, whether it may be sent twice, how it is cut at a range's border.
// Pure.
#pragma once

#include "orrery/kv/api/key_span.h"

namespace orrery::kv {

// Whether executing the batch twice has the effect of executing it once (T19).
bool IsRetrySafe(const BatchRequest& request);
bool HasConditionalPut(const BatchRequest& request);
// Plain or locking reads without effect on the disk.
bool IsReadOnly(const BatchRequest& request);
// The request with its span replaced by a part of it. Precondition: it has a span.
Request WithSpan(const Request& request, Span span);

// The more telling of two errors of parts of one batch.
const KvError& WorseOf(const KvError& a, const KvError& b);

BatchResponse ErrorResponse(const Status& status);

}  // namespace orrery::kv
