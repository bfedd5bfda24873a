# Everything the project links, and why. All are Debian 12 packages; `dev` installs them.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Qt6 6.4 REQUIRED COMPONENTS Widgets Charts Svg Test)  # window, charts, icons and figures, tests
find_package(TBB REQUIRED)                                         # the background pool; named only in core/jobs
find_package(Eigen3 3.4 REQUIRED NO_MODULE)                        # matrix expressions
find_package(nlohmann_json 3.11 REQUIRED)                          # config.json, safetensors headers, plans
find_package(CLI11 2.1 REQUIRED)                                   # command line of qloupe
find_package(ZLIB REQUIRED)                                        # members of .npz archives: inflating and checksums
pkg_check_modules(HDF5 REQUIRED IMPORTED_TARGET hdf5-serial)       # studies, Keras files, captured activations
pkg_check_modules(OPENBLAS REQUIRED IMPORTED_TARGET openblas)      # products and Cholesky, dispatched at run time
pkg_check_modules(LAPACKE REQUIRED IMPORTED_TARGET lapacke)        # the C interface to them
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)             # vector kernels with run-time dispatch
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)          # tests only: an independent reader and writer of archives
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)       # checksums of segments, fingerprints of checkpoints
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)             # heat maps in reports
