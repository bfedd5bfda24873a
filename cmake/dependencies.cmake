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
find_path(QL_LAPACK_INCLUDE_DIR lapack.h REQUIRED)                 # its Fortran names; liblapacke.so would load a second LAPACK
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)             # vector kernels with run-time dispatch
pkg_check_modules(ICU REQUIRED IMPORTED_TARGET icu-i18n icu-uc)   # tokenizers: Unicode classes, normalization, patterns with look-ahead
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)          # tests only: an independent reader and writer of archives
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)       # checksums of segments, fingerprints of checkpoints
pkg_check_modules(PNG REQUIRED IMPORTED_TARGET libpng)             # heat maps in reports; pictures for vision models
pkg_check_modules(JPEG REQUIRED IMPORTED_TARGET libjpeg)           # pictures for vision models

# The shared HDF5 brings libcurl, Kerberos, LDAP and two TLS libraries, for files in the cloud: a third of the time qloupe takes to
# start. The archive brings what is called.
find_library(QL_HDF5_ARCHIVE libhdf5.a HINTS ${HDF5_LIBRARY_DIRS})
if(QL_HDF5_ARCHIVE)
  find_library(QL_SZIP sz REQUIRED)
  set_property(TARGET PkgConfig::HDF5 PROPERTY INTERFACE_LINK_LIBRARIES
    ${QL_HDF5_ARCHIVE} ${QL_SZIP} ZLIB::ZLIB ${CMAKE_DL_LIBS} m Threads::Threads)
endif()
