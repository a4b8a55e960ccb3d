using System.Runtime.InteropServices;
using TorchSharp.Native;
using static TorchSharp.Native.Calls;

namespace TorchSharp;

public static partial class torch
{
    /// <summary>
    /// A tensor of libtorch. Every operation returns a new object over its own reference to the storage; it is freed
    /// by its dispose scope, by <see cref="Dispose()"/>, or at the latest by the finalizer.
    /// </summary>
    public partial class Tensor : IDisposable
    {
        private static long total, peak;

        private nint handle;
        internal DisposeScope? OwningScope;
        internal int ScopeSlot;

        /// <summary>Takes over one native reference and registers with the thread's innermost dispose scope.</summary>
        internal Tensor(nint handle)
        {
            this.handle = handle;
            long now = Interlocked.Increment(ref total);
            if (now > peak) peak = now;
            var state = DisposeScopeManager.State;
            if (state.Current is { } scope)
            {
                scope.Add(this);
                state.Statistics.CreatedIn++;
            }
            else state.Statistics.CreatedOutside++;
        }

        /// <summary>Takes over the native reference and the place in its scope of another tensor, which becomes invalid.</summary>
        private protected Tensor(Tensor data)
        {
            handle = data.Handle;
            data.handle = 0;
            GC.SuppressFinalize(data);
            if (data.OwningScope is { } scope)
            {
                scope.Forget(data);
                scope.Add(this);
            }
        }

        ~Tensor() => Dispose(false);

        /// <summary>Tensors alive in this process.</summary>
        public static long TotalCount => Interlocked.Read(ref total);

        /// <summary>The most tensors that were alive at one time.</summary>
        public static long PeakCount => Interlocked.Read(ref peak);

        /// <summary>The native TensorImpl.</summary>
        /// <exception cref="InvalidOperationException">The tensor was disposed.</exception>
        public IntPtr Handle => handle != 0 ? handle : throw new InvalidOperationException("Tensor invalid -- empty handle.");

        public bool IsInvalid => handle == 0;

        /// <summary>A name of the caller's choice; libtorch does not see it.</summary>
        public string? name { get; set; }

        public void Dispose()
        {
            Dispose(true);
            GC.SuppressFinalize(this);
        }

        protected virtual unsafe void Dispose(bool disposing)
        {
            nint released = Interlocked.Exchange(ref handle, 0);
            if (released == 0) return;
            Interlocked.Decrement(ref total);
            var statistics = DisposeScopeManager.State.Statistics;
            if (OwningScope is { } scope && disposing)
            {
                scope.Forget(this);
                statistics.DisposedIn++;
            }
            else statistics.DisposedOutside++;
            Library.Release(released);
        }

        public Tensor MoveToOuterDisposeScope()
        {
            OwningScope?.MoveToOuter(this);
            return this;
        }

        public Tensor MoveToOtherDisposeScope(Tensor other) => MoveToOtherDisposeScope(other.OwningScope);

        public Tensor MoveToOtherDisposeScope(DisposeScope? other)
        {
            if (OwningScope is null) other?.Attach(this);
            else OwningScope.MoveToOther(other, this);
            return this;
        }

        /// <summary>After this no scope frees the tensor.</summary>
        public Tensor DetachFromDisposeScope()
        {
            OwningScope?.Detach(this);
            return this;
        }

        /// <summary>Gives up the native reference without freeing it and returns it.</summary>
        public IntPtr DecoupleFromNativeHandle()
        {
            nint released = Handle;
            OwningScope?.Forget(this);
            handle = 0;
            Interlocked.Decrement(ref total);
            GC.SuppressFinalize(this);
            return released;
        }

        /// <summary>Wraps a native reference, which the new tensor owns.</summary>
        public static Tensor UnsafeCreateTensor(IntPtr handle) => new(handle);

        /// <summary>Another object over the same tensor: same storage, same autograd history.</summary>
        public Tensor alias() => Call(Ops.alias, this);

        /// <summary>Another object over the very same native tensor.</summary>
        internal unsafe Tensor Same() => new(Library.Check(Library.Retain(Handle)));

        // ---- shape and kind ---------------------------------------------------------------------------------------

        /// <summary>The sizes, a fresh array at each call.</summary>
        public unsafe long[] shape
        {
            get
            {
                var sizes = new long[Dimensions];
                fixed (long* p = sizes) Library.Check(Library.Sizes(Handle, p));
                return sizes;
            }
        }

        public long[] size() => shape;

        /// <summary>The size of one dimension; negative counts from the end.</summary>
        public long size(int dim)
        {
            var sizes = shape;
            int d = dim < 0 ? dim + sizes.Length : dim;
            return (uint)d < (uint)sizes.Length ? sizes[d] : throw new ArgumentOutOfRangeException(nameof(dim),
                $"Dimension {dim} was asked of a tensor of {sizes.Length} dimensions.");
        }

        public unsafe long Dimensions => Library.Dim(Handle);
        public long ndim => Dimensions;
        public long dim() => Dimensions;
        public unsafe long NumberOfElements => Library.Numel(Handle);
        public long numel() => NumberOfElements;
        public unsafe long ElementSize => Library.ElementSize(Handle);
        public long element_size() => ElementSize;
        public unsafe ScalarType dtype => (ScalarType)Library.Dtype(Handle);
        public Device device => new(device_type, device_index);
        public unsafe DeviceType device_type => (DeviceType)(Library.Device(Handle) & 0xff);
        public unsafe int device_index => (int)(Library.Device(Handle) >> 8);

        public unsafe long[] stride()
        {
            var strides = new long[Dimensions];
            fixed (long* p = strides) Library.Check(Library.Strides(Handle, p));
            return strides;
        }

        public long stride(int dim)
        {
            var strides = stride();
            return strides[dim < 0 ? dim + strides.Length : dim];
        }

        public long storage_offset() => Ask(4);
        public bool is_contiguous() => Ask(1) != 0;
        public bool is_leaf => Ask(0) != 0;
        public bool is_sparse => Ask(2) != 0;
        public bool is_cuda => device_type == DeviceType.CUDA;
        public bool is_meta => device_type == DeviceType.META;
        public bool is_cpu() => device_type == DeviceType.CPU;
        public bool is_floating_point() => dtype is ScalarType.Float16 or ScalarType.Float32 or ScalarType.Float64 or ScalarType.BFloat16;
        public bool is_complex() => dtype is ScalarType.ComplexFloat32 or ScalarType.ComplexFloat64;
        public bool is_integral() => dtype is ScalarType.Byte or ScalarType.Int8 or ScalarType.Int16 or ScalarType.Int32 or ScalarType.Int64 or ScalarType.Bool;
        public bool is_nonzero() => ToScalar().AsDouble != 0;

        private unsafe long Ask(int question)
        {
            long answer;
            Library.Check(Library.Ask(Handle, question, &answer));
            GC.KeepAlive(this);
            return answer;
        }

        // ---- autograd -----------------------------------------------------------------------------------------------

        public unsafe bool requires_grad
        {
            get => Library.RequiresGrad(Handle) != 0;
            set => Library.Check(Library.SetRequiresGrad(Handle, value ? 1 : 0));
        }

        public Tensor requires_grad_(bool requires_grad = true)
        {
            this.requires_grad = requires_grad;
            return this;
        }

        public Tensor with_requires_grad(bool requires_grad = true) => requires_grad_(requires_grad);

        /// <summary>The gradient that backward accumulated, or null. Same shape as the tensor.</summary>
        public unsafe Tensor? grad
        {
            get
            {
                nint g;
                Library.Check(Library.Grad(Handle, &g));
                GC.KeepAlive(this);
                return g == 0 ? null : new Tensor(g);
            }
            set
            {
                Library.Check(Library.SetGrad(Handle, value is null ? 0 : value.Handle));
                GC.KeepAlive(value);
            }
        }

        /// <summary>Puts other data, perhaps of another dtype or device, behind this tensor; whoever holds it sees the new data.</summary>
        internal unsafe void SetData(Tensor source)
        {
            Library.Check(Library.SetData(Handle, source.Handle));
            GC.KeepAlive(source);
        }

        public unsafe void retain_grad() => Library.Check(Library.RetainGrad(Handle));

        /// <summary>Adds to the leaves' grad the gradient of this scalar.</summary>
        /// <exception cref="ExternalException">The tensor is not a scalar or has no history.</exception>
        public void backward() => backward(null);

        public void backward(IList<Tensor>? grad_tensors = null, bool retain_graph = false, bool create_graph = false, IList<Tensor>? inputs = null) =>
            autograd.backward([this], grad_tensors, retain_graph, create_graph, inputs);

        /// <summary>The same storage without autograd history.</summary>
        public Tensor detach() => Call(Ops.detach, this);

        public Tensor detach_() => Call(Ops.detach_, this);

        // ---- equality: == is element-wise, so these are by content and by identity -----------------------------------

        /// <summary>Same sizes and same values.</summary>
        public bool Equals(Tensor target) => CallBool(Ops.equal, this, target);

        /// <summary>Shape, dtype and device; the values are read with data or item.</summary>
        public override string ToString() => IsInvalid ? "[disposed]" : $"[{string.Join("x", shape)}], type = {dtype}, device = {device}";

        public override bool Equals(object? obj) => obj is Tensor t && (ReferenceEquals(this, t) || Equals(t));

        public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(this);
    }
}
