// Runs the registered tests, or those whose name contains the argument. Exit code: 0 all passed, 1 some failed,
// 77 this machine lacks the instruction set that the program was compiled for.
#include <cstdarg>

#include "test.h"

extern "C" int32_t danu_isa();
extern "C" int32_t danu_built_isa();

namespace danu::test {

namespace {
int failuresOfTest = 0;
}

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

void expect(bool holds, const char* format, ...) {
  if (holds) return;
  if (++failuresOfTest > 5) return;
  std::printf("  ");
  va_list arguments;
  va_start(arguments, format);
  std::vprintf(format, arguments);
  va_end(arguments);
  std::printf("\n");
}

}  // namespace danu::test

int main(int count, char** arguments) {
  using namespace danu::test;
  if (danu_built_isa() != 4 && danu_built_isa() > danu_isa()) return 77;
  int failed = 0;
  for (const Test& test : tests()) {
    if (count > 1 && !std::strstr(test.name, arguments[1])) continue;
    failuresOfTest = 0;
    test.run();
    std::printf("%s %s\n", failuresOfTest == 0 ? "ok" : "FAIL", test.name);
    std::fflush(stdout);
    if (failuresOfTest > 0) failed++;
  }
  return failed > 0 ? 1 : 0;
}
