// The program of a paper: build/bin/<paper>. LOWBIT_PAPER is its slug.
#include "experiments/core/cli.hpp"
#include "experiments/core/command_line.hpp"

int main(int argc, char** argv) {
  return lowbit::guarded_main(LOWBIT_PAPER,
                              [](const std::vector<std::string>& arguments) {
                                return lowbit::run_paper(LOWBIT_PAPER, LOWBIT_PAPER, arguments);
                              },
                              {argv + 1, argv + argc});
}
