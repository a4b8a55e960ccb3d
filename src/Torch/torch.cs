using System.Runtime.InteropServices;
using TorchSharp.Native;

namespace TorchSharp;

/// <summary>The functions, types and settings of libtorch, spelled as TorchSharp spells them.</summary>
public static partial class torch
{
    /// <summary>Element types; the numbers are libtorch's own and appear in files.</summary>
    public enum ScalarType : sbyte
    {
        Byte = 0, Int8 = 1, Int16 = 2, Int32 = 3, Int64 = 4, Float16 = 5, Float32 = 6, Float64 = 7,
        ComplexFloat32 = 9, ComplexFloat64 = 10, Bool = 11, QInt8 = 12, QUInt8 = 13, QInt32 = 14, BFloat16 = 15,
    }

    public enum RoundingMode { None = 0, trunc = 1, floor = 2 }

    public static readonly ScalarType @bool = ScalarType.Bool, uint8 = ScalarType.Byte, int8 = ScalarType.Int8, int16 = ScalarType.Int16,
        int32 = ScalarType.Int32, int64 = ScalarType.Int64, bfloat16 = ScalarType.BFloat16, float16 = ScalarType.Float16,
        float32 = ScalarType.Float32, float64 = ScalarType.Float64, @short = ScalarType.Int16, @int = ScalarType.Int32,
        @long = ScalarType.Int64, half = ScalarType.Float16, @float = ScalarType.Float32, @double = ScalarType.Float64;

    public static readonly Device CPU = new(DeviceType.CPU), META = new(DeviceType.META);

    /// <summary>The current CUDA device.</summary>
    public static Device CUDA => new(DeviceType.CUDA);

    /// <summary>The version of the libtorch this binding was built against.</summary>
    public static unsafe string __version__ => Marshal.PtrToStringUTF8((nint)Library.Version())!;

    private static ScalarType defaultDtype = ScalarType.Float32;
    private static Device defaultDevice = CPU;

    public static ScalarType get_default_dtype() => defaultDtype;

    /// <summary>The dtype of new floating-point tensors and parameters for which none is named.</summary>
    public static void set_default_dtype(ScalarType dtype) => defaultDtype = dtype;

    public static Device get_default_device() => defaultDevice;
    public static void set_default_device(Device device) => defaultDevice = device;
    public static void set_default_device(string device) => defaultDevice = new Device(device);

    public static Device device(string description) => new(description);
    public static Device device(string deviceType, int index = -1) => new(deviceType, index);
    public static Device device(DeviceType deviceType, int index = -1) => new(deviceType, index);
    public static Device device(int index) => new(index);

    /// <summary>Threads that one operator may use.</summary>
    public static unsafe int get_num_threads() => Library.GetNumThreads();
    public static unsafe void set_num_threads(int num) => Library.Check(Library.SetNumThreads(num));
    public static unsafe int get_num_interop_threads() => Library.GetNumInteropThreads();
    public static unsafe void set_num_interop_threads(int num) => Library.Check(Library.SetNumInteropThreads(num));

    public static unsafe bool cuda_is_available() => Library.CudaCount() > 0;

    /// <summary>Opens a scope on this thread that frees the tensors made in it.</summary>
    public static DisposeScope NewDisposeScope() => new(DisposeScopeManager.State);

    /// <summary>The innermost scope of this thread, or null.</summary>
    public static DisposeScope? CurrentDisposeScope => DisposeScopeManager.State.Current;

    /// <summary>Runs <paramref name="expr"/> in a scope of its own and hands its result to the scope outside.</summary>
    public static Tensor WrappedTensorDisposeScope(Func<Tensor> expr)
    {
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(expr());
    }

    /// <summary>Where a tensor lives: a kind of device and, for CUDA, its number.</summary>
    public class Device
    {
        public Device(string description)
        {
            var parts = description.Split(':');
            type = Enum.TryParse<DeviceType>(parts[0], ignoreCase: true, out var t) ? t : throw new ArgumentException(
                $"'{description}' is not a device; expected 'cpu', 'cuda', 'cuda:0' or the like.", nameof(description));
            index = parts.Length > 1 && int.TryParse(parts[1], out int i) ? i : type == DeviceType.CPU ? -1 : 0;
        }

        public Device(string deviceType, int index = -1) : this(deviceType)
        {
            if (index >= 0) this.index = index;
        }

        public Device(DeviceType deviceType, int index = -1)
        {
            type = deviceType;
            this.index = index < 0 && deviceType == DeviceType.CUDA ? 0 : index;
        }

        /// <summary>CUDA device number <paramref name="index"/>.</summary>
        public Device(int index) : this(DeviceType.CUDA, index)
        {
        }

        public DeviceType type { get; }
        public int index { get; }

        public static implicit operator Device(string description) => new(description);

        public override string ToString() => type is DeviceType.CPU or DeviceType.META
            ? type.ToString().ToLowerInvariant() : $"{type.ToString().ToLowerInvariant()}:{index}";

        internal long Packed => (long)type | ((long)(sbyte)(type is DeviceType.CPU or DeviceType.META ? -1 : index) << 8);
    }

    public static class cuda
    {
        public static bool is_available() => cuda_is_available();
        public static unsafe int device_count() => Library.CudaCount();
        public static bool is_cudnn_available() => is_available();
        public static void manual_seed(long seed) => torch.manual_seed(seed);
        public static void manual_seed_all(long seed) => torch.manual_seed(seed);

        /// <summary>Waits until the work given to the device is done.</summary>
        public static unsafe void synchronize(Device? device = null) => Library.Check(Library.CudaSynchronize());
    }

    public static class backends
    {
        public static class cuda
        {
            public static class matmul
            {
                /// <summary>Whether cuBLAS may round float32 inputs to TF32.</summary>
                public static unsafe bool allow_tf32
                {
                    get => Library.Switch(0, -1) != 0;
                    set => Library.Switch(0, value ? 1 : 0);
                }
            }
        }

        public static class cudnn
        {
            public static unsafe bool allow_tf32
            {
                get => Library.Switch(1, -1) != 0;
                set => Library.Switch(1, value ? 1 : 0);
            }
        }
    }
}

public enum DeviceType
{
    CPU = 0, CUDA = 1, MKLDNN = 2, OPENGL = 3, OPENCL = 4, IDEEP = 5, HIP = 6, FPGA = 7, MSNPU = 8, XLA = 9, MPS = 13, META = 14,
}
