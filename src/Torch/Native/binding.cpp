// The whole native side of the binding: operators are called boxed through the ATen dispatcher, so one call reaches
// every operator libtorch has. Every entry point is guarded: no exception crosses this ABI, a failed call returns
// -1 (or null) and leaves its message in ft_error(). Tensors cross as TensorImpl*, each pointer owning one reference.
#include <ATen/CPUFunctions.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/api/include/torch/version.h>
#include <torch/library.h>

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

struct Value {
  int32_t tag;
  int32_t n;
  union { int64_t i; double d; void* p; };
};

enum Tag : int32_t { None, TensorTag, Int, Double, Bool, Ints, Tensors, Text, OptionalTensors, DeviceTag, GeneratorTag, Doubles };

using Impl = c10::intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>;

#define TORCH_SINCE(major, minor) (TORCH_VERSION_MAJOR > major || (TORCH_VERSION_MAJOR == major && TORCH_VERSION_MINOR >= minor))

#if TORCH_SINCE(2, 4)
using std::nullopt;
using std::optional;
#else
using c10::nullopt;
using c10::optional;
#endif

static thread_local std::string lastError;

template <typename F>
static int guarded(F&& body) noexcept {
  try {
    body();
    return 0;
  } catch (const c10::Error& e) {
    lastError = e.what_without_backtrace();
  } catch (const std::exception& e) {
    lastError = e.what();
  } catch (...) {
    lastError = "libtorch threw something that is not an exception";
  }
  return -1;
}

static at::Tensor borrow(void* p) {
  return p ? at::Tensor(Impl::reclaim_copy(static_cast<at::TensorImpl*>(p))) : at::Tensor();
}

static void* give(at::Tensor t) { return t.defined() ? t.unsafeReleaseTensorImpl() : nullptr; }

static c10::IValue toIValue(const Value& v) {
  switch (v.tag) {
    case TensorTag: return c10::IValue(borrow(v.p));
    case Int: return c10::IValue(v.i);
    case Double: return c10::IValue(v.d);
    case Bool: return c10::IValue(v.i != 0);
    case Ints: return c10::IValue(c10::IntArrayRef(static_cast<int64_t*>(v.p), v.n));
    case Doubles: return c10::IValue(c10::ArrayRef<double>(static_cast<double*>(v.p), v.n));
    case Text: return c10::IValue(std::string(static_cast<const char*>(v.p), v.n));
    case DeviceTag:
      return c10::IValue(c10::Device(static_cast<c10::DeviceType>(v.i & 0xff), static_cast<c10::DeviceIndex>(v.i >> 8)));
    case GeneratorTag: return c10::IValue(*static_cast<at::Generator*>(v.p));
    case Tensors: {
      c10::List<at::Tensor> list;
      list.reserve(v.n);
      for (int k = 0; k < v.n; k++) list.push_back(borrow(static_cast<void**>(v.p)[k]));
      return c10::IValue(std::move(list));
    }
    case OptionalTensors: {
      c10::List<optional<at::Tensor>> list;
      list.reserve(v.n);
      for (int k = 0; k < v.n; k++) {
        void* p = static_cast<void**>(v.p)[k];
        list.push_back(p ? optional<at::Tensor>(borrow(p)) : nullopt);
      }
      return c10::IValue(std::move(list));
    }
    default: return c10::IValue();
  }
}

static Value fromIValue(c10::IValue&& v) {
  Value r{None, 0, {0}};
  if (v.isTensor()) {
    r.tag = TensorTag;
    r.p = give(std::move(v).toTensor());
  } else if (v.isInt()) {
    r.tag = Int;
    r.i = v.toInt();
  } else if (v.isDouble()) {
    r.tag = Double;
    r.d = v.toDouble();
  } else if (v.isBool()) {
    r.tag = Bool;
    r.i = v.toBool();
  } else if (v.isTensorList()) {
    auto list = std::move(v).toTensorList();
    r.tag = Tensors;
    r.n = static_cast<int32_t>(list.size());
    auto** out = static_cast<void**>(malloc(sizeof(void*) * (list.size() + 1)));
    for (size_t k = 0; k < list.size(); k++) out[k] = give(list.get(k));
    r.p = out;
  }
  return r;
}

API const char* ft_error() { return lastError.c_str(); }
API const char* ft_version() { return TORCH_VERSION; }

API void* ft_operator(const char* name, const char* overload) {
  void* result = nullptr;
  guarded([&] {
    auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
    if (handle) result = new c10::OperatorHandle(*handle);
  });
  return result;
}

// Arguments left out at the end take the schema's defaults, so one caller serves libtorch versions that added some.
// Returns how many results were written to `out`, or -1.
API int ft_call(void* op, const Value* in, int n, Value* out, int capacity) {
  int count = 0;
  int failed = guarded([&] {
    const auto& arguments = static_cast<c10::OperatorHandle*>(op)->schema().arguments();
    torch::jit::Stack stack;
    stack.reserve(arguments.size() + 4);
    for (int k = 0; k < n; k++) stack.push_back(toIValue(in[k]));
    for (size_t k = n; k < arguments.size(); k++) {
      const auto& preset = arguments[k].default_value();
      TORCH_CHECK(preset.has_value(), "no value for the argument ", arguments[k].name());
      stack.push_back(*preset);
    }
    static_cast<c10::OperatorHandle*>(op)->callBoxed(&stack);
    count = std::min<int>(capacity, static_cast<int>(stack.size()));
    for (int k = 0; k < count; k++) out[k] = fromIValue(std::move(stack[k]));
  });
  return failed ? -1 : count;
}

API void ft_free_array(void* p) { free(p); }

API void ft_release(void* t) {
  guarded([&] { Impl::reclaim(static_cast<at::TensorImpl*>(t)); });
}

API void* ft_retain(void* t) {
  void* r = nullptr;
  guarded([&] { r = give(borrow(t)); });
  return r;
}

// ---- what a tensor is -----------------------------------------------------------------------------------------

API int64_t ft_dim(void* t) { return static_cast<at::TensorImpl*>(t)->dim(); }
API int64_t ft_numel(void* t) { return static_cast<at::TensorImpl*>(t)->numel(); }
API int ft_dtype(void* t) { return static_cast<int>(c10::typeMetaToScalarType(static_cast<at::TensorImpl*>(t)->dtype())); }
API int64_t ft_element_size(void* t) { return static_cast<int64_t>(static_cast<at::TensorImpl*>(t)->dtype().itemsize()); }
API int64_t ft_device(void* t) {
  auto d = static_cast<at::TensorImpl*>(t)->device();
  return (static_cast<int64_t>(d.type()) & 0xff) | (static_cast<int64_t>(d.index()) << 8);
}
API int ft_requires_grad(void* t) { return static_cast<at::TensorImpl*>(t)->requires_grad(); }

API int ft_sizes(void* t, int64_t* out) {
  return guarded([&] { auto s = static_cast<at::TensorImpl*>(t)->sizes(); std::copy(s.begin(), s.end(), out); });
}
API int ft_strides(void* t, int64_t* out) {
  return guarded([&] { auto s = static_cast<at::TensorImpl*>(t)->strides(); std::copy(s.begin(), s.end(), out); });
}
// question: 0 is_leaf, 1 is_contiguous, 2 is_sparse, 3 is_inference, 4 storage_offset, 5 retains_grad
API int ft_ask(void* t, int question, int64_t* answer) {
  return guarded([&] {
    auto x = borrow(t);
    switch (question) {
      case 0: *answer = x.is_leaf(); break;
      case 1: *answer = x.is_contiguous(); break;
      case 2: *answer = x.is_sparse(); break;
      case 3: *answer = x.is_inference(); break;
      case 4: *answer = x.storage_offset(); break;
      case 5: *answer = x.retains_grad(); break;
      default: *answer = 0;
    }
  });
}
API void* ft_data(void* t) {
  void* r = nullptr;
  return guarded([&] { r = borrow(t).data_ptr(); }) ? nullptr : r;
}
// A tensor over memory that the caller keeps alive; `release(context)` is called when the last storage reference dies.
API void* ft_from_blob(void* data, const int64_t* sizes, int n, int dtype, void (*release)(void*), void* context) {
  void* r = nullptr;
  guarded([&] {
    auto type = static_cast<at::ScalarType>(dtype);
    at::IntArrayRef shape(sizes, n);
    int64_t bytes = static_cast<int64_t>(c10::elementSize(type));
    for (auto s : shape) bytes *= s;
    c10::Storage storage(c10::Storage::use_byte_size_t(), bytes, c10::DataPtr(data, context, release, c10::Device(c10::kCPU)));
    auto t = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CPU), c10::scalarTypeToTypeMeta(type));
    t.unsafeGetTensorImpl()->set_sizes_contiguous(shape);
    r = give(t);
  });
  return r;
}

// ---- autograd ---------------------------------------------------------------------------------------------------

static std::vector<at::Tensor> list(void** p, int n) {
  std::vector<at::Tensor> v;
  v.reserve(n);
  for (int k = 0; k < n; k++) v.push_back(borrow(p[k]));
  return v;
}

API int ft_set_requires_grad(void* t, int on) {
  return guarded([&] { borrow(t).requires_grad_(on != 0); });
}
API int ft_retain_grad(void* t) {
  return guarded([&] { borrow(t).retain_grad(); });
}
API int ft_grad(void* t, void** out) {
  return guarded([&] { *out = give(borrow(t).grad()); });
}
API int ft_set_grad(void* t, void* g) {
  return guarded([&] { borrow(t).mutable_grad() = borrow(g); });
}
API int ft_set_data(void* t, void* source) {
  return guarded([&] { borrow(t).set_data(borrow(source)); });
}
API int ft_backward(void** roots, int n, void** grads, int ngrads, int retain, int create, void** inputs, int ninputs) {
  return guarded([&] {
    torch::autograd::backward(list(roots, n), list(grads, ngrads), retain != 0, create != 0, list(inputs, ninputs));
  });
}
API int ft_autograd_grad(void** roots, int n, void** inputs, int ninputs, void** grads, int ngrads, int retain, int create, int allowUnused, void** out) {
  return guarded([&] {
    auto r = torch::autograd::grad(list(roots, n), list(inputs, ninputs), list(grads, ngrads), retain != 0, create != 0, allowUnused != 0);
    for (size_t k = 0; k < r.size(); k++) out[k] = give(r[k]);
  });
}
API int ft_grad_enabled() { return c10::GradMode::is_enabled(); }
API void ft_set_grad_enabled(int on) { c10::GradMode::set_enabled(on != 0); }
API int ft_inference_enabled() { return c10::InferenceMode::is_enabled(); }
API void* ft_inference_guard(int on) { return new c10::InferenceMode(on != 0); }
API void ft_inference_unguard(void* g) { delete static_cast<c10::InferenceMode*>(g); }

// ---- autocast -----------------------------------------------------------------------------------------------------

struct Cast {
  bool on;
  at::ScalarType type;
};
#if TORCH_SINCE(2, 4)
static Cast castOn(c10::DeviceType device) { return {at::autocast::is_autocast_enabled(device), at::autocast::get_autocast_dtype(device)}; }
static void setCast(c10::DeviceType device, Cast cast) {
  at::autocast::set_autocast_enabled(device, cast.on);
  at::autocast::set_autocast_dtype(device, cast.type);
}
#else
static Cast castOn(c10::DeviceType device) {
  return device == c10::kCPU ? Cast{at::autocast::is_cpu_enabled(), at::autocast::get_autocast_cpu_dtype()} : Cast{at::autocast::is_enabled(), at::autocast::get_autocast_gpu_dtype()};
}
static void setCast(c10::DeviceType device, Cast cast) {
  if (device == c10::kCPU) {
    at::autocast::set_cpu_enabled(cast.on);
    at::autocast::set_autocast_cpu_dtype(cast.type);
  } else {
    at::autocast::set_enabled(cast.on);
    at::autocast::set_autocast_gpu_dtype(cast.type);
  }
}
#endif

// Until it is left, operators of this thread take bfloat16 where libtorch holds that for safe.
API int ft_autocast_enter(int64_t* before) {
  return guarded([&] {
    *before = 0;
    for (auto device : {c10::kCPU, c10::kCUDA}) {
      auto cast = castOn(device);
      *before |= ((cast.on ? 1 : 0) | (static_cast<int64_t>(cast.type) << 1)) << (device == c10::kCPU ? 0 : 16);
      if (device == c10::kCPU || at::globalContext().hasCUDA()) setCast(device, {true, at::kBFloat16});
    }
    at::autocast::increment_nesting();
  });
}
// What was cast is kept for the next use until the outermost one is left.
API int ft_autocast_leave(int64_t before) {
  return guarded([&] {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    for (auto device : {c10::kCPU, c10::kCUDA}) {
      auto packed = (before >> (device == c10::kCPU ? 0 : 16)) & 0xffff;
      setCast(device, {(packed & 1) != 0, static_cast<at::ScalarType>(packed >> 1)});
    }
  });
}

// ---- random numbers -----------------------------------------------------------------------------------------------

API void* ft_generator(int64_t seed, int device, int index) {
  void* r = nullptr;
  guarded([&] {
    TORCH_CHECK(device == 0, "a generator of its own is supported on the CPU only");
    r = new at::Generator(at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(seed)));
  });
  return r;
}
API void* ft_default_generator() {
  void* r = nullptr;
  guarded([&] { r = new at::Generator(at::globalContext().defaultGenerator(c10::Device(c10::kCPU))); });
  return r;
}
API void ft_generator_release(void* g) { delete static_cast<at::Generator*>(g); }
API int ft_generator_set_seed(void* g, int64_t seed) {
  return guarded([&] {
    auto& gen = *static_cast<at::Generator*>(g);
    std::lock_guard<std::mutex> lock(gen.mutex());
    gen.set_current_seed(static_cast<uint64_t>(seed));
  });
}
API int ft_generator_seed(void* g, int fresh, int64_t* seed) {
  return guarded([&] {
    auto& gen = *static_cast<at::Generator*>(g);
    std::lock_guard<std::mutex> lock(gen.mutex());
    *seed = static_cast<int64_t>(fresh ? gen.seed() : gen.current_seed());
  });
}
API int ft_generator_state(void* g, void** out) {
  return guarded([&] {
    auto& gen = *static_cast<at::Generator*>(g);
    std::lock_guard<std::mutex> lock(gen.mutex());
    *out = give(gen.get_state());
  });
}
API int ft_generator_set_state(void* g, void* state) {
  return guarded([&] {
    auto& gen = *static_cast<at::Generator*>(g);
    std::lock_guard<std::mutex> lock(gen.mutex());
    gen.set_state(borrow(state));
  });
}
API int ft_manual_seed(int64_t seed) {
  return guarded([&] {
    auto seedOne = [&](const at::Generator& g) {
      auto gen = g;
      std::lock_guard<std::mutex> lock(gen.mutex());
      gen.set_current_seed(static_cast<uint64_t>(seed));
    };
    seedOne(at::globalContext().defaultGenerator(c10::Device(c10::kCPU)));
    if (at::globalContext().hasCUDA()) {
      auto devices = c10::impl::VirtualGuardImpl(c10::DeviceType::CUDA).deviceCount();
      for (int k = 0; k < devices; k++) seedOne(at::globalContext().defaultGenerator(c10::Device(c10::kCUDA, k)));
    }
  });
}

// ---- the process ----------------------------------------------------------------------------------------------------

API int ft_get_num_threads() { return at::get_num_threads(); }
API int ft_set_num_threads(int n) {
  return guarded([&] { at::set_num_threads(n); });
}
API int ft_get_num_interop_threads() { return at::get_num_interop_threads(); }
API int ft_set_num_interop_threads(int n) {
  return guarded([&] { at::set_num_interop_threads(n); });
}
API int ft_cuda_count() {
  int n = 0;
  guarded([&] { n = at::globalContext().hasCUDA() ? c10::impl::VirtualGuardImpl(c10::DeviceType::CUDA).deviceCount() : 0; });
  return n;
}
API int ft_cuda_synchronize() {
  return guarded([&] {
    if (at::globalContext().hasCUDA()) {
      c10::impl::VirtualGuardImpl impl(c10::DeviceType::CUDA);
#if TORCH_SINCE(2, 5)
      impl.synchronizeDevice(impl.getDevice().index());
#else
      impl.synchronizeStream(impl.getStream(impl.getDevice()));
#endif
    }
  });
}
API int ft_deterministic(int on, int warnOnly) {
  return guarded([&] { at::globalContext().setDeterministicAlgorithms(on != 0, warnOnly != 0); });
}
// what: 0 TF32 in cuBLAS, 1 TF32 in cuDNN, 2 deterministic algorithms, 3 deterministic warn only. on < 0 only asks.
API int ft_switch(int what, int on) {
  int before = 0;
  guarded([&] {
    auto& context = at::globalContext();
    switch (what) {
      case 0: before = context.allowTF32CuBLAS(); if (on >= 0) context.setAllowTF32CuBLAS(on != 0); break;
      case 1: before = context.allowTF32CuDNN(); if (on >= 0) context.setAllowTF32CuDNN(on != 0); break;
      case 2: before = context.deterministicAlgorithms(); break;
      case 3: before = context.deterministicAlgorithmsWarnOnly(); break;
    }
  });
  return before;
}

// ---- fused updates: one pass over memory where single operators take many ---------------------------------------------

#if defined(__x86_64__)
#define VECTORISED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VECTORISED
#endif

VECTORISED static void adamwRange(float* __restrict p, const float* __restrict g, float* __restrict m, float* __restrict v, int64_t n,
                                  float decay, float beta1, float rest1, float beta2, float rest2, float root2, float eps, float rate) {
  for (int64_t k = 0; k < n; k++) {
    float grad = g[k];
    float mean = m[k] * beta1 + grad * rest1;
    float square = v[k] * beta2 + grad * grad * rest2;
    m[k] = mean;
    v[k] = square;
    p[k] = p[k] * decay - rate * (mean / (__builtin_sqrtf(square) / root2 + eps));
  }
}

static bool plainFloats(const at::Tensor& t, const at::Tensor& like) {
  return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.layout() == at::kStrided && t.is_contiguous() && t.sizes() == like.sizes();
}

// AdamW on contiguous float32 tensors of the CPU. Returns 1, with nothing changed, where the tensors are others.
API int ft_adamw(void** params, void** grads, void** means, void** squares, int n, double lr, double beta1, double beta2, double eps, double decay, double correction1, double correction2) {
  int other = 0;
  int failed = guarded([&] {
    auto p = list(params, n), g = list(grads, n), m = list(means, n), v = list(squares, n);
    for (int k = 0; k < n; k++)
      if (!plainFloats(p[k], p[k]) || !plainFloats(g[k], p[k]) || !plainFloats(m[k], p[k]) || !plainFloats(v[k], p[k])) { other = 1; return; }
    auto root2 = static_cast<float>(std::sqrt(correction2));
    for (int k = 0; k < n; k++) {
      auto *pp = p[k].data_ptr<float>(), *gg = g[k].data_ptr<float>(), *mm = m[k].data_ptr<float>(), *vv = v[k].data_ptr<float>();
      at::parallel_for(0, p[k].numel(), 1 << 15, [&](int64_t from, int64_t to) {
        adamwRange(pp + from, gg + from, mm + from, vv + from, to - from, static_cast<float>(1 - lr * decay), static_cast<float>(beta1),
                   static_cast<float>(1 - beta1), static_cast<float>(beta2), static_cast<float>(1 - beta2), root2, static_cast<float>(eps),
                   static_cast<float>(lr / correction1));
      });
      p[k].unsafeGetTensorImpl()->bump_version();
    }
  });
  return failed ? -1 : other;
}

// ---- float32 matrix products ---------------------------------------------------------------------------------------
// Debian's libtorch calls whatever libblas.so.3 is: by default the reference BLAS, a hundred times slower than the
// machine; or OpenBLAS, whose threads spin against OpenMP's. oneDNN, which libtorch needs anyway, has a fast sgemm on
// OpenMP's own threads. A name that this library exports comes before libblas in the search order of libtorch, so the
// call ends here. Where oneDNN is not a library of its own (libtorch from pytorch.org brings MKL), nothing calls this.

using DnnlSgemm = int (*)(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*, int64_t, float, float*, int64_t);
using BlasSgemm = void (*)(const char*, const char*, const int*, const int*, const int*, const float*, const float*, const int*, const float*, const int*, const float*, float*, const int*);

static void* symbolOf(const char* library, const char* name) {
  void* handle = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
  return handle ? dlsym(handle, name) : nullptr;
}

static DnnlSgemm dnnlSgemm() {
  static const auto found = reinterpret_cast<DnnlSgemm>(getenv("FTS_BLAS") ? nullptr : symbolOf("libdnnl.so.2", "dnnl_sgemm"));
  return found;
}

// Fortran's column-major product is the row-major product of the swapped operands.
API void sgemm_(const char* transA, const char* transB, const int* m, const int* n, const int* k, const float* alpha, const float* a, const int* lda,
                const float* b, const int* ldb, const float* beta, float* c, const int* ldc) {
  if (auto dnnl = dnnlSgemm(); dnnl && *k > 0 && dnnl(*transB, *transA, *n, *m, *k, *alpha, b, *ldb, a, *lda, *beta, c, *ldc) == 0) return;
  static const auto blas = reinterpret_cast<BlasSgemm>(symbolOf("libblas.so.3", "sgemm_"));
  TORCH_CHECK(blas, "neither oneDNN's sgemm nor a BLAS was found");
  blas(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

// Without MKL libtorch multiplies a batch one matrix after the other, each on all threads: for the small matrices of
// attention the threads then meet more than they work. Here every thread takes whole matrices.

// How sgemm may read a matrix: as it lies, or transposed. Neither: a copy is needed.
struct Layout {
  char trans;
  int64_t step;
};
static optional<Layout> layoutOf(const at::Tensor& t) {
  auto rows = t.size(1), columns = t.size(2), down = t.stride(1), right = t.stride(2);
  if ((right == 1 || columns == 1) && (down >= columns || rows == 1)) return Layout{'N', std::max(down, columns)};
  if ((down == 1 || rows == 1) && (right >= rows || columns == 1)) return Layout{'T', std::max(right, rows)};
  return nullopt;
}

static at::Tensor batchedProduct(const at::Tensor& left, const at::Tensor& right) {
  auto floats = [](const at::Tensor& t) { return t.scalar_type() == at::kFloat && t.dim() == 3 && t.numel() > 0; };
  if (!floats(left) || !floats(right) || left.size(0) != right.size(0) || left.size(2) != right.size(1)) return at::cpu::bmm(left, right);
  auto a = layoutOf(left) ? left : left.contiguous(), b = layoutOf(right) ? right : right.contiguous();
  auto la = *layoutOf(a), lb = *layoutOf(b);
  int64_t batch = a.size(0), n = a.size(1), k = a.size(2), m = b.size(2);
  auto out = at::empty({batch, n, m}, a.options());
  auto *pa = a.data_ptr<float>(), *pb = b.data_ptr<float>(), *pc = out.data_ptr<float>();
  std::atomic<bool> failed{false};
  // Fewer matrices than threads: one after the other, each on all of them.
  auto grain = batch < at::get_num_threads() ? batch : std::max<int64_t>(1, (1 << 20) / (n * k * m));
  at::parallel_for(0, batch, grain, [&](int64_t from, int64_t to) {
    for (auto i = from; i < to; i++)
      if (dnnlSgemm()(la.trans, lb.trans, n, m, k, 1, pa + i * a.stride(0), la.step, pb + i * b.stride(0), lb.step, 0, pc + i * n * m, m) != 0) failed = true;
  });
  return failed ? at::cpu::bmm(left, right) : out;
}

// libtorch warns when a kernel of its own is replaced, which here is meant.
#if TORCH_VERSION_MAJOR >= 2
namespace warnings = c10::WarningUtils;
struct Silence : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};
#else
namespace warnings = c10::Warning;
struct Silence : c10::WarningHandler {
  void process(const c10::SourceLocation&, const std::string&, bool) override {}
};
#endif

static const bool batched = [] {
  if (!dnnlSgemm() || at::hasMKL()) return false;
  Silence silence;
  auto before = warnings::get_warning_handler();
  warnings::set_warning_handler(&silence);
  static auto library = torch::Library(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
  library.impl("bmm", batchedProduct);
  warnings::set_warning_handler(before);
  return true;
}();
