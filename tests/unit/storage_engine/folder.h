// Folder: a folder of real files that goes with it.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace orrery::storage {

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "orrery-store-XXXXXX").string();
    if (const char* made = ::mkdtemp(pattern.data())) path_ = made;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace orrery::storage
