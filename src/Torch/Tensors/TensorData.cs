using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp.Native;
using TorchSharp.Utils;
using static TorchSharp.Native.Calls;

namespace TorchSharp;

public static partial class torch
{
    public partial class Tensor
    {
        /// <summary>The value of a tensor of exactly one element, whose dtype is exactly that of <typeparamref name="T"/>.</summary>
        /// <exception cref="ArgumentException">More than one element, or another dtype.</exception>
        public T item<T>() where T : unmanaged
        {
            if (NumberOfElements != 1) throw new ArgumentException($"Only a tensor of one element has a value; this one has {NumberOfElements}.");
            RequireType<T>();
            using var here = is_cpu() ? null : detach().cpu();
            unsafe { return Unsafe.ReadUnaligned<T>((here ?? this).Pointer); }
        }

        /// <summary>The elements in logical order, whatever the strides. CPU only, exact dtype.</summary>
        /// <exception cref="ArgumentException">Another dtype than <typeparamref name="T"/>.</exception>
        /// <exception cref="InvalidOperationException">The tensor is not on the CPU.</exception>
        public TensorAccessor<T> data<T>() where T : unmanaged
        {
            RequireType<T>();
            if (!is_cpu()) throw new InvalidOperationException($"Reading data from a tensor on {device} is not supported. Move it to the CPU first.");
            return new TensorAccessor<T>(this);
        }

        /// <summary>The elements' bytes of a contiguous CPU tensor: a view for reading, a copy into the tensor when set.</summary>
        /// <exception cref="NotSupportedException">The tensor is not contiguous.</exception>
        public unsafe Span<byte> bytes
        {
            get
            {
                if (!is_contiguous()) throw new NotSupportedException($"Bytes are given only of a tensor whose elements lie one after another in memory; this one of shape [{string.Join(", ", shape)}] has the strides [{string.Join(", ", stride())}]. Call contiguous() first.");
                if (!is_cpu()) throw new InvalidOperationException($"Reading bytes from a tensor on {device} is not supported. Move it to the CPU first.");
                return new Span<byte>(Pointer, checked((int)(NumberOfElements * ElementSize)));
            }
            set
            {
                if (value.Length != NumberOfElements * ElementSize)
                    throw new ArgumentException($"The tensor holds {NumberOfElements * ElementSize} bytes, {value.Length} were given.");
                value.CopyTo(bytes);
            }
        }

        /// <summary>Writes the elements' bytes of a CPU tensor in logical order.</summary>
        public unsafe void WriteBytesToStream(Stream stream, int bufferSize = 1024)
        {
            using var packed = is_contiguous() && is_cpu() ? null : detach().cpu().contiguous();
            var source = packed ?? this;
            long total = source.NumberOfElements * source.ElementSize;
            int step = Math.Max(bufferSize, 1 << 20);
            for (long at = 0; at < total; at += step)
                stream.Write(new ReadOnlySpan<byte>((byte*)source.Pointer + at, (int)Math.Min(step, total - at)));
        }

        /// <summary>Fills a contiguous CPU tensor from a stream.</summary>
        /// <exception cref="EndOfStreamException">The stream holds fewer bytes than the tensor.</exception>
        public unsafe void ReadBytesFromStream(Stream stream, int bufferSize = 1024)
        {
            if (!is_contiguous() || !is_cpu()) throw new InvalidOperationException("Only a contiguous tensor on the CPU can be filled from a stream.");
            long total = NumberOfElements * ElementSize;
            int step = Math.Max(bufferSize, 1 << 20);
            for (long at = 0; at < total; at += step)
                stream.ReadExactly(new Span<byte>((byte*)Pointer + at, (int)Math.Min(step, total - at)));
        }

        /// <summary>The value of a tensor of one element, converted.</summary>
        public Scalar ToScalar() => dtype switch
        {
            ScalarType.Byte => item<byte>(),
            ScalarType.Int8 => item<sbyte>(),
            ScalarType.Int16 => item<short>(),
            ScalarType.Int32 => item<int>(),
            ScalarType.Int64 => item<long>(),
            ScalarType.Float16 => item<Half>(),
            ScalarType.Float32 => item<float>(),
            ScalarType.Float64 => item<double>(),
            ScalarType.Bool => item<bool>(),
            ScalarType.BFloat16 => item<BFloat16>(),
            var other => throw new NotSupportedException($"A tensor of {other} has no scalar value here; supported are Byte, Int8, Int16, Int32, Int64, Float16, BFloat16, Float32, Float64 and Bool."),
        };

        internal unsafe void* Pointer
        {
            get
            {
                var p = Library.Data(Handle);
                if (p is null && NumberOfElements > 0) Library.Throw();
                return p;
            }
        }

        internal static ScalarType TypeOf(Type t) =>
            t == typeof(float) ? ScalarType.Float32 : t == typeof(long) ? ScalarType.Int64 : t == typeof(int) ? ScalarType.Int32
            : t == typeof(double) ? ScalarType.Float64 : t == typeof(bool) ? ScalarType.Bool : t == typeof(byte) ? ScalarType.Byte
            : t == typeof(sbyte) ? ScalarType.Int8 : t == typeof(short) ? ScalarType.Int16 : t == typeof(Half) ? ScalarType.Float16
            : t == typeof(BFloat16) ? ScalarType.BFloat16 : t == typeof((float, float)) ? ScalarType.ComplexFloat32
            : t == typeof(Complex) ? ScalarType.ComplexFloat64
            : throw new ArgumentException($"A tensor cannot hold elements of type {t.Name}.");

        private void RequireType<T>()
        {
            var wanted = TypeOf(typeof(T));
            if (wanted != dtype) throw new ArgumentException($"Cannot read the data of a tensor of {dtype} as {wanted}; convert it with to(ScalarType.{wanted}) first.");
        }

        // ---- conversion -----------------------------------------------------------------------------------------------

        /// <summary>A tensor of another dtype; the same storage where nothing changes and no copy is asked for.</summary>
        public Tensor to(ScalarType type, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            After(Call(Ops.to_dtype, this, type, non_blocking, copy), disposeAfter);

        public Tensor to(Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            After(Call(Ops.to_device, this, device, dtype, non_blocking, copy), disposeAfter);

        public Tensor to(ScalarType type, Device device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            After(Call(Ops.to_device, this, device, type, non_blocking, copy), disposeAfter);

        public Tensor to(DeviceType deviceType, int deviceIndex = -1, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            to(new Device(deviceType, deviceIndex), copy, disposeAfter, non_blocking);

        public Tensor to(string device, bool copy = false, bool disposeAfter = false, bool non_blocking = false) =>
            to(new Device(device), copy, disposeAfter, non_blocking);

        public Tensor to(Tensor other, bool non_blocking = false) => Call(Ops.to_other, this, other, non_blocking);

        public Tensor to_type(ScalarType type, bool copy = false, bool disposeAfter = false, bool non_blocking = false) => to(type, copy, disposeAfter, non_blocking);

        public Tensor type(ScalarType dtype) => to(dtype);
        public Tensor cpu() => to(CPU);
        public Tensor cuda(Device? device = null, bool non_blocking = false) => to(device ?? CUDA, non_blocking: non_blocking);
        public Tensor @float() => to(ScalarType.Float32);
        public Tensor @double() => to(ScalarType.Float64);
        public Tensor half() => to(ScalarType.Float16);
        public Tensor bfloat16() => to(ScalarType.BFloat16);
        public Tensor @int() => to(ScalarType.Int32);
        public Tensor @long() => to(ScalarType.Int64);
        public Tensor @short() => to(ScalarType.Int16);
        public Tensor @byte() => to(ScalarType.Byte);
        public Tensor @char() => to(ScalarType.Int8);
        public Tensor @bool() => to(ScalarType.Bool);

        private Tensor After(Tensor result, bool disposeAfter)
        {
            if (disposeAfter) Dispose();
            return result;
        }

        public static explicit operator float(Tensor value) => value.ToSingle();
        public static explicit operator double(Tensor value) => value.ToDouble();
        public static explicit operator sbyte(Tensor value) => value.ToSByte();
        public static explicit operator byte(Tensor value) => value.ToByte();
        public static explicit operator short(Tensor value) => value.ToInt16();
        public static explicit operator int(Tensor value) => value.ToInt32();
        public static explicit operator long(Tensor value) => value.ToInt64();
        public static explicit operator bool(Tensor value) => value.ToBoolean();

        public static implicit operator Tensor(byte value) => tensor(value);
        public static implicit operator Tensor(sbyte value) => tensor(value);
        public static implicit operator Tensor(short value) => tensor(value);
        public static implicit operator Tensor(int value) => tensor(value);
        public static implicit operator Tensor(long value) => tensor(value);
        public static implicit operator Tensor(float value) => tensor(value);
        public static implicit operator Tensor(double value) => tensor(value);
        public static implicit operator Tensor(bool value) => tensor(value);
        public static implicit operator Tensor(byte[] value) => tensor(value);
        public static implicit operator Tensor(sbyte[] value) => tensor(value);
        public static implicit operator Tensor(short[] value) => tensor(value);
        public static implicit operator Tensor(int[] value) => tensor(value);
        public static implicit operator Tensor(long[] value) => tensor(value);
        public static implicit operator Tensor(float[] value) => tensor(value);
        public static implicit operator Tensor(double[] value) => tensor(value);
        public static implicit operator Tensor(bool[] value) => tensor(value);
        public static implicit operator Tensor(Scalar scalar) => Call(Ops.scalar_tensor, scalar, scalar.Type);
    }
}
