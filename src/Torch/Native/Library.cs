using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace TorchSharp.Native;

/// <summary>Loads the native half of the binding once and holds its entry points as function pointers.</summary>
internal static unsafe class Library
{
    internal const string FileName = "libFineTuneStudioTorch.so";

    private static readonly nint handle = Load();

    internal static readonly delegate* unmanaged[Cdecl]<byte*> Error = (delegate* unmanaged[Cdecl]<byte*>)Entry("ft_error");
    internal static readonly delegate* unmanaged[Cdecl]<byte*> Version = (delegate* unmanaged[Cdecl]<byte*>)Entry("ft_version");
    internal static readonly delegate* unmanaged[Cdecl]<byte*, byte*, nint> FindOperator = (delegate* unmanaged[Cdecl]<byte*, byte*, nint>)Entry("ft_operator");
    internal static readonly delegate* unmanaged[Cdecl]<nint, Value*, int, Value*, int, int> Call = (delegate* unmanaged[Cdecl]<nint, Value*, int, Value*, int, int>)Entry("ft_call");
    internal static readonly delegate* unmanaged[Cdecl]<nint, void> FreeArray = (delegate* unmanaged[Cdecl]<nint, void>)Entry("ft_free_array");
    internal static readonly delegate* unmanaged[Cdecl]<nint, void> Release = (delegate* unmanaged[Cdecl]<nint, void>)Entry("ft_release");
    internal static readonly delegate* unmanaged[Cdecl]<nint, nint> Retain = (delegate* unmanaged[Cdecl]<nint, nint>)Entry("ft_retain");

    // Reads of a field or two: they return in nanoseconds, so the garbage collector may wait for them.
    internal static readonly delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, long> Dim = (delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, long>)Entry("ft_dim");
    internal static readonly delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, long> Numel = (delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, long>)Entry("ft_numel");
    internal static readonly delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, int> Dtype = (delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, int>)Entry("ft_dtype");
    internal static readonly delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, long> ElementSize = (delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, long>)Entry("ft_element_size");
    internal static readonly delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, long> Device = (delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, long>)Entry("ft_device");
    internal static readonly delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, int> RequiresGrad = (delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, int>)Entry("ft_requires_grad");

    internal static readonly delegate* unmanaged[Cdecl]<nint, long*, int> Sizes = (delegate* unmanaged[Cdecl]<nint, long*, int>)Entry("ft_sizes");
    internal static readonly delegate* unmanaged[Cdecl]<nint, long*, int> Strides = (delegate* unmanaged[Cdecl]<nint, long*, int>)Entry("ft_strides");
    internal static readonly delegate* unmanaged[Cdecl]<nint, int, long*, int> Ask = (delegate* unmanaged[Cdecl]<nint, int, long*, int>)Entry("ft_ask");
    internal static readonly delegate* unmanaged[Cdecl]<nint, void*> Data = (delegate* unmanaged[Cdecl]<nint, void*>)Entry("ft_data");
    internal static readonly delegate* unmanaged[Cdecl]<void*, long*, int, int, delegate* unmanaged[Cdecl]<nint, void>, nint, nint> FromBlob = (delegate* unmanaged[Cdecl]<void*, long*, int, int, delegate* unmanaged[Cdecl]<nint, void>, nint, nint>)Entry("ft_from_blob");

    internal static readonly delegate* unmanaged[Cdecl]<nint, int, int> SetRequiresGrad = (delegate* unmanaged[Cdecl]<nint, int, int>)Entry("ft_set_requires_grad");
    internal static readonly delegate* unmanaged[Cdecl]<nint, int> RetainGrad = (delegate* unmanaged[Cdecl]<nint, int>)Entry("ft_retain_grad");
    internal static readonly delegate* unmanaged[Cdecl]<nint, nint*, int> Grad = (delegate* unmanaged[Cdecl]<nint, nint*, int>)Entry("ft_grad");
    internal static readonly delegate* unmanaged[Cdecl]<nint, nint, int> SetGrad = (delegate* unmanaged[Cdecl]<nint, nint, int>)Entry("ft_set_grad");
    internal static readonly delegate* unmanaged[Cdecl]<nint, nint, int> SetData = (delegate* unmanaged[Cdecl]<nint, nint, int>)Entry("ft_set_data");
    internal static readonly delegate* unmanaged[Cdecl]<nint*, int, nint*, int, int, int, nint*, int, int> Backward = (delegate* unmanaged[Cdecl]<nint*, int, nint*, int, int, int, nint*, int, int>)Entry("ft_backward");
    internal static readonly delegate* unmanaged[Cdecl]<nint*, int, nint*, int, nint*, int, int, int, int, nint*, int> AutogradGrad = (delegate* unmanaged[Cdecl]<nint*, int, nint*, int, nint*, int, int, int, int, nint*, int>)Entry("ft_autograd_grad");
    internal static readonly delegate* unmanaged[Cdecl]<int> GradEnabled = (delegate* unmanaged[Cdecl]<int>)Entry("ft_grad_enabled");
    internal static readonly delegate* unmanaged[Cdecl]<int, void> SetGradEnabled = (delegate* unmanaged[Cdecl]<int, void>)Entry("ft_set_grad_enabled");
    internal static readonly delegate* unmanaged[Cdecl]<int> InferenceEnabled = (delegate* unmanaged[Cdecl]<int>)Entry("ft_inference_enabled");
    internal static readonly delegate* unmanaged[Cdecl]<int, nint> InferenceGuard = (delegate* unmanaged[Cdecl]<int, nint>)Entry("ft_inference_guard");
    internal static readonly delegate* unmanaged[Cdecl]<nint, void> InferenceUnguard = (delegate* unmanaged[Cdecl]<nint, void>)Entry("ft_inference_unguard");

    internal static readonly delegate* unmanaged[Cdecl]<long*, int> EnterAutocast = (delegate* unmanaged[Cdecl]<long*, int>)Entry("ft_autocast_enter");
    internal static readonly delegate* unmanaged[Cdecl]<long, int> LeaveAutocast = (delegate* unmanaged[Cdecl]<long, int>)Entry("ft_autocast_leave");

    internal static readonly delegate* unmanaged[Cdecl]<long, int, int, nint> NewGenerator = (delegate* unmanaged[Cdecl]<long, int, int, nint>)Entry("ft_generator");
    internal static readonly delegate* unmanaged[Cdecl]<nint> DefaultGenerator = (delegate* unmanaged[Cdecl]<nint>)Entry("ft_default_generator");
    internal static readonly delegate* unmanaged[Cdecl]<nint, void> ReleaseGenerator = (delegate* unmanaged[Cdecl]<nint, void>)Entry("ft_generator_release");
    internal static readonly delegate* unmanaged[Cdecl]<nint, long, int> SetGeneratorSeed = (delegate* unmanaged[Cdecl]<nint, long, int>)Entry("ft_generator_set_seed");
    internal static readonly delegate* unmanaged[Cdecl]<nint, int, long*, int> GeneratorSeed = (delegate* unmanaged[Cdecl]<nint, int, long*, int>)Entry("ft_generator_seed");
    internal static readonly delegate* unmanaged[Cdecl]<nint, nint*, int> GeneratorState = (delegate* unmanaged[Cdecl]<nint, nint*, int>)Entry("ft_generator_state");
    internal static readonly delegate* unmanaged[Cdecl]<nint, nint, int> SetGeneratorState = (delegate* unmanaged[Cdecl]<nint, nint, int>)Entry("ft_generator_set_state");
    internal static readonly delegate* unmanaged[Cdecl]<long, int> ManualSeed = (delegate* unmanaged[Cdecl]<long, int>)Entry("ft_manual_seed");

    internal static readonly delegate* unmanaged[Cdecl]<int> GetNumThreads = (delegate* unmanaged[Cdecl]<int>)Entry("ft_get_num_threads");
    internal static readonly delegate* unmanaged[Cdecl]<int, int> SetNumThreads = (delegate* unmanaged[Cdecl]<int, int>)Entry("ft_set_num_threads");
    internal static readonly delegate* unmanaged[Cdecl]<int> GetNumInteropThreads = (delegate* unmanaged[Cdecl]<int>)Entry("ft_get_num_interop_threads");
    internal static readonly delegate* unmanaged[Cdecl]<int, int> SetNumInteropThreads = (delegate* unmanaged[Cdecl]<int, int>)Entry("ft_set_num_interop_threads");
    internal static readonly delegate* unmanaged[Cdecl]<int> CudaCount = (delegate* unmanaged[Cdecl]<int>)Entry("ft_cuda_count");
    internal static readonly delegate* unmanaged[Cdecl]<int> CudaSynchronize = (delegate* unmanaged[Cdecl]<int>)Entry("ft_cuda_synchronize");
    internal static readonly delegate* unmanaged[Cdecl]<int, int, int> Deterministic = (delegate* unmanaged[Cdecl]<int, int, int>)Entry("ft_deterministic");
    internal static readonly delegate* unmanaged[Cdecl]<int, int, int> Switch = (delegate* unmanaged[Cdecl]<int, int, int>)Entry("ft_switch");

    internal static readonly delegate* unmanaged[Cdecl]<nint*, nint*, nint*, nint*, int, double, double, double, double, double, double, double, int> AdamW = (delegate* unmanaged[Cdecl]<nint*, nint*, nint*, nint*, int, double, double, double, double, double, double, double, int>)Entry("ft_adamw");

    /// <summary>Throws what libtorch said, when <paramref name="status"/> reports a failure.</summary>
    /// <exception cref="ExternalException">The native call failed; the message is libtorch's own.</exception>
    internal static void Check(int status)
    {
        if (status < 0) Throw();
    }

    internal static nint Check(nint pointer)
    {
        if (pointer == 0) Throw();
        return pointer;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    [System.Diagnostics.CodeAnalysis.DoesNotReturn]
    internal static void Throw() => throw new ExternalException(Marshal.PtrToStringUTF8((nint)Error()));

    private static nint Entry(string name) => NativeLibrary.GetExport(handle, name);

    private static nint Load()
    {
        ProcessTuning.Apply();
        var besideApp = Path.Combine(AppContext.BaseDirectory, FileName);
        var besideAssembly = Path.Combine(Path.GetDirectoryName(typeof(Library).Assembly.Location) ?? "", FileName);
        var path = File.Exists(besideApp) ? besideApp : besideAssembly;
        try
        {
            return NativeLibrary.Load(path);
        }
        catch (DllNotFoundException e)
        {
            throw new NotSupportedException(
                $"The libtorch binding could not be loaded from {path}. Install libtorch (on Debian: apt-get install libtorch-dev), " +
                $"or set LIBTORCH to its folder and build again. The loader said: {e.Message}", e);
        }
    }
}
