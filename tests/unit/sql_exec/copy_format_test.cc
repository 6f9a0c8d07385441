#include "orrery/sql/exec/copy_format.h"

#include <gtest/gtest.h>

namespace orrery::sql {
namespace {

using Fields = std::vector<std::optional<std::string>>;

// All rows, with the bytes arriving `piece` at a time; the error's text as a row of its own.
std::vector<Fields> ParseAll(const CopyOptions& options, size_t columns, std::string_view bytes, size_t piece) {
  std::vector<std::string> names;
  for (size_t i = 0; i < columns; ++i) names.push_back(std::string(1, char('a' + i)));
  CopyParser parser(options, names);
  std::vector<Fields> rows;
  auto drain = [&] {
    while (true) {
      std::vector<CopyField> fields;
      auto more = parser.NextRow(fields);
      if (!more.ok()) {
        rows.push_back({std::string(more.status().message())});
        return false;
      }
      if (!*more) return true;
      Fields& row = rows.emplace_back();
      for (const CopyField& field : fields) {
        row.push_back(field.is_null ? std::nullopt : std::optional<std::string>(field.text));
      }
    }
  };
  for (size_t at = 0; at < bytes.size(); at += piece) {
    parser.Append(bytes.substr(at, piece));
    if (!drain()) return rows;
  }
  parser.Finish();
  drain();
  return rows;
}

void ExpectRows(const CopyOptions& options, size_t columns, std::string_view bytes, const std::vector<Fields>& expected) {
  for (size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, bytes.size()}) {
    EXPECT_EQ(ParseAll(options, columns, bytes, std::max<size_t>(piece, 1)), expected) << "pieces of " << piece;
  }
}

CopyOptions Csv() {
  CopyOptions options;
  options.format = CopyFormat::kCsv;
  options.delimiter = ',';
  options.null_text = "";
  return options;
}

TEST(CopyParserTest, Text) {
  ExpectRows({}, 2, "1\tx\n2\t\\N\n", {{"1", "x"}, {"2", std::nullopt}});
  ExpectRows({}, 2, "a\\tb\tc\\\\\n", {{"a\tb", "c\\"}});
  ExpectRows({}, 2, "\\x41\t\\101\\\nrest\r\n", {{"A", "A\nrest"}});
  ExpectRows({}, 3, "\\N\t\\\\N\t\\N\\N\n", {{std::nullopt, "\\N", "NN"}});
  ExpectRows({}, 2, "a\\tb\tc\nplain\td\n\\\\\te\n", {{"a\tb", "c"}, {"plain", "d"}, {"\\", "e"}});
  ExpectRows({}, 1, "last", {{"last"}});
  ExpectRows({}, 1, "x\n\\.\nignored\n", {{"x"}});
  ExpectRows({}, 2, "1\n", {{"missing data for column \"b\""}});
  ExpectRows({}, 1, "1\t\xff\n", {{"invalid byte sequence for encoding \"UTF8\": 0xff"}});
  ExpectRows({}, 1, "\\xc3\n", {{"invalid byte sequence for encoding \"UTF8\": 0xc3"}});
  ExpectRows({}, 1, "1234567\xe2\x82\xac\xed\xa0\x80rest\n", {{"invalid byte sequence for encoding \"UTF8\": 0xed 0xa0 0x80"}});
  ExpectRows({}, 1, "1234567\xe2\x82\xac rest\n", {{"1234567\u20ac rest"}});
  ExpectRows({}, 1, "1\t2\n", {{"extra data after last expected column"}});
}

TEST(CopyParserTest, Csv) {
  ExpectRows(Csv(), 2, "1,\"a,\"\"b\"\"\nc\"\n", {{"1", "a,\"b\"\nc"}});
  ExpectRows(Csv(), 2, ",\"\"\n", {{std::nullopt, ""}});
  ExpectRows(Csv(), 1, "\"open", {{"unterminated CSV quoted field"}});
  CopyOptions header = Csv();
  header.header = true;
  ExpectRows(header, 1, "name\r\n7\r\n", {{"7"}});
  header.header_match = true;
  ExpectRows(header, 1, "name\n7\n",
             {{"column name mismatch in header line field 1: got \"name\", expected \"a\""}});
  CopyOptions force = Csv();
  force.force_not_null = {0};
  force.force_null = {1};
  ExpectRows(force, 2, ",\"\"\n", {{"", std::nullopt}});
}

TEST(CopyFormatterTest, RoundTripsThroughTheParser) {
  const std::vector<Datum> row = {Datum::Bytes("a\tb\\c\nd\"e,f\r"), Datum::Null(), Datum::Bytes("")};
  for (bool csv : {false, true}) {
    CopyOptions options = csv ? Csv() : CopyOptions();
    CopyFormatter formatter(options, {"a", "b", "c"}, std::vector<Type>(3, Type{oid::kText, -1}));
    std::string line;
    formatter.AppendRow(row, FormatContext(), line);
    ExpectRows(options, 3, line, {{"a\tb\\c\nd\"e,f\r", std::nullopt, ""}});
  }
}

}  // namespace
}  // namespace orrery::sql
