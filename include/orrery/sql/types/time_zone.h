// Time zones: offset from UTC for an instant, and the instant of a local time. Immutable after
// construction, so any thread may read one. Source of the file format: RFC 8536 (TZif); of the
// footer and of POSIX zone names: POSIX TZ.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "orrery/base/status_or.h"

namespace orrery::sql {

class TimeZone {
 public:
  struct LocalType {
    int32_t offset_seconds = 0;  // east of Greenwich is positive
    bool is_dst = false;
    std::string abbreviation;
  };

  static std::shared_ptr<const TimeZone> Utc();
  // A zone of one offset (seconds east), printed as `name`.
  static std::shared_ptr<const TimeZone> Fixed(int32_t offset_seconds, std::string_view name);
  // Parses a TZif file's bytes. DataLoss if they are malformed.
  static StatusOr<std::shared_ptr<const TimeZone>> FromTzif(std::string_view name,
                                                            std::string_view bytes);
  // Parses a POSIX TZ string such as "EST5EDT,M3.2.0,M11.1.0" or "<+0530>-05:30". InvalidArgument
  // if malformed.
  static StatusOr<std::shared_ptr<const TimeZone>> FromPosix(std::string_view name,
                                                             std::string_view rule);

  // The name it was asked by: what SHOW TimeZone prints.
  const std::string& name() const { return name_; }
  // In force at an instant (Unix seconds).
  const LocalType& AtInstant(int64_t unix_seconds) const;
  // Offset PostgreSQL uses for a local time (Unix seconds as if it were UTC): for a time that does
  // not exist or exists twice, the offset in force before the change, resp. the standard one
  // (DetermineTimeZoneOffset).
  int32_t OffsetOfLocal(int64_t local_seconds) const;

 private:
  struct Rule;  // the POSIX footer
  friend struct PosixParser;
  TimeZone() = default;
  const LocalType& FromRule(int64_t unix_seconds) const;
  int64_t NextChangeAfter(int64_t unix_seconds) const;

  std::string name_;
  std::vector<int64_t> transitions_;  // Unix seconds, ascending
  std::vector<uint8_t> type_of_;      // index into types_, one a transition
  std::vector<LocalType> types_;
  uint8_t first_type_ = 0;            // before the first transition
  std::shared_ptr<const Rule> rule_;  // after the last transition; may be null
};

// Finds zones by name: IANA names without regard to case of the first letter of each part as
// PostgreSQL does, abbreviations (EST, CET …), offsets (+05:30) and POSIX strings. Stateless apart
// from the reader it was given.
class TimeZoneDatabase {
 public:
  // Returns the bytes of a zone's file, for instance of "Europe/Berlin" under /usr/share/zoneinfo;
  // NotFound if there is none. Must be callable from any thread. Names passed contain no "..", no
  // leading '/', only [A-Za-z0-9_+-/].
  using FileReader = std::function<StatusOr<std::string>(std::string_view)>;

  explicit TimeZoneDatabase(FileReader reader) : reader_(std::move(reader)) {}
  // For SET TimeZone, AT TIME ZONE and input. NotFound (22023) `time zone "x" not recognized` if
  // there is none.
  StatusOr<std::shared_ptr<const TimeZone>> Find(std::string_view name) const;
  // EST, CET, PDT …: AT TIME ZONE and input try these before the names. NotFound (22023) if there is none.
  static StatusOr<std::shared_ptr<const TimeZone>> FindAbbreviation(std::string_view name);

 private:
  FileReader reader_;
};

}  // namespace orrery::sql
