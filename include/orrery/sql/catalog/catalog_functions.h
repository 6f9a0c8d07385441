// The functions about catalog objects over a transaction's view of the catalog. One is made for a statement: it
// reads the tables once, so that a function called for every row of pg_class costs no more than a look-up.
#pragma once

#include <memory>

#include "orrery/runtime/context.h"
#include "orrery/sql/catalog/catalog.h"
#include "orrery/sql/types/catalog_info.h"
#include "orrery/sql/types/functions.h"

namespace orrery::sql {

// `context`, `catalog` and `functions` must outlive it. May wait for KV at its first call.
std::unique_ptr<CatalogInfo> NewCatalogInfo(const runtime::Context& context, CatalogReader& catalog,
                                            const FunctionCatalog& functions);

}  // namespace orrery::sql
