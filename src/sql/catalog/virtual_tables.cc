#include "orrery/sql/catalog/virtual_table.h"
namespace orrery::sql { std::vector<TablePtr> BuildVirtualTables() { return {}; } }
