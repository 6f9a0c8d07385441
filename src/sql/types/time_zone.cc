#include "orrery/sql/types/time_zone.h"

namespace orrery::sql {

std::shared_ptr<const TimeZone> TimeZone::Utc() { return Fixed(0, "UTC"); }
std::shared_ptr<const TimeZone> TimeZone::Fixed(int32_t offset, std::string_view name) {
  auto zone = std::shared_ptr<TimeZone>(new TimeZone);
  zone->name_ = name;
  zone->types_.push_back({offset, false, std::string(name)});
  return zone;
}

}  // namespace orrery::sql
