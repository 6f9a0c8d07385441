#include "runtime/sim/disk.h"

#include <algorithm>
#include <utility>

namespace orrery::runtime::sim {

const std::string* Disk::Find(std::string_view path) const {
  const auto it = current_.find(path);
  return it == current_.end() ? nullptr : &it->second->current;
}

void Disk::Change(NameChange change) {
  if (change.file) current_[change.path] = change.file;
  else current_.erase(change.path);
  unsynced_names_.push_back(std::move(change));
}

void Disk::Create(std::string_view path) { Change({std::string(path), std::make_shared<File>()}); }

void Disk::Apply(std::string& contents, uint64_t offset, std::string_view bytes) {
  if (contents.size() < offset + bytes.size()) contents.resize(offset + bytes.size());
  std::copy(bytes.begin(), bytes.end(), contents.begin() + long(offset));
}

void Disk::WriteAt(std::string_view path, uint64_t offset, std::string_view bytes) {
  if (!current_.contains(path)) Create(path);
  File& file = *current_.find(path)->second;
  Apply(file.current, offset, bytes);
  file.unsynced.push_back({offset, std::string(bytes)});
}

void Disk::Sync(std::string_view path) {
  const auto it = current_.find(path);
  if (it == current_.end()) return;
  it->second->durable = it->second->current;
  it->second->unsynced.clear();
}

void Disk::Rename(std::string_view from, std::string_view to) {
  const auto it = current_.find(from);
  if (it == current_.end()) return;
  const std::shared_ptr<File> file = it->second;
  Change({std::string(to), file, true});
  Change({std::string(from), nullptr});
}

void Disk::Remove(std::string_view path) {
  if (current_.contains(path)) Change({std::string(path), nullptr});
}

void Disk::SyncNames() {
  durable_ = current_;
  unsynced_names_.clear();
}

void Disk::CreateFolder(std::string_view path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    folders_.emplace(path.substr(0, end));
    if (end == std::string_view::npos) return;
  }
}

std::vector<std::string> Disk::List(std::string_view folder) const {
  std::set<std::string> names;
  const std::string prefix = std::string(folder) + "/";
  const auto add = [&](std::string_view path) {
    if (path.starts_with(prefix)) names.emplace(path.substr(prefix.size(), path.find('/', prefix.size()) - prefix.size()));
  };
  for (const auto& [path, file] : current_) add(path);
  for (const std::string& path : folders_) add(path);
  return {names.begin(), names.end()};
}

void Disk::Crash(Random& random) {
  size_t kept = unsynced_names_.empty() ? 0 : size_t(random.Below(unsynced_names_.size() + 1));
  while (kept > 0 && kept < unsynced_names_.size() && unsynced_names_[kept - 1].with_next) ++kept;
  for (size_t i = 0; i < kept; ++i) {
    const NameChange& change = unsynced_names_[i];
    if (change.file) durable_[change.path] = change.file;
    else durable_.erase(change.path);
  }
  unsynced_names_.clear();
  for (auto& [path, file] : durable_) {
    for (const Patch& patch : file->unsynced) {
      const uint64_t fate = random.Below(3);  // lost, kept, torn
      if (fate == 1) Apply(file->durable, patch.offset, patch.bytes);
      if (fate == 2)
        Apply(file->durable, patch.offset,
              std::string_view(patch.bytes).substr(0, random.Below(patch.bytes.size() + 1)));
    }
    file->unsynced.clear();
    file->current = file->durable;
  }
  current_ = durable_;
  locks_.clear();
}

}  // namespace orrery::runtime::sim
