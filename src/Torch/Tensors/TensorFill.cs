using TorchSharp.Native;
using static TorchSharp.Native.Calls;

namespace TorchSharp;

public static partial class torch
{
    /// <content>
    /// Filling in place, random or not, and new tensors with this one's dtype and device.
    /// </content>
    public partial class Tensor
    {
        public Tensor bernoulli(Generator? generator = null) => Call(Ops.bernoulli, this, generator);
        public Tensor bernoulli_(double p = 0.5, Generator? generator = null) => Call(Ops.bernoulli__float, this, p, generator);
        public Tensor bernoulli_(Tensor p, Generator? generator = null) => Call(Ops.bernoulli__Tensor, this, p, generator);
        public Tensor exponential_(double lambda = 1, Generator? generator = null) => Call(Ops.exponential_, this, lambda, generator);
        public Tensor fill_(Scalar value) => Call(Ops.fill__Scalar, this, value);
        public Tensor multinomial(long num_samples, bool replacement = false, Generator? generator = null) => Call(Ops.multinomial, this, num_samples, replacement, generator);
        public Tensor normal_(double mean = 0, double std = 1, Generator? generator = null) => Call(Ops.normal_, this, mean, std, generator);
        public Tensor poisson(Generator? generator = null) => Call(Ops.poisson, this, generator);
        public Tensor uniform_(double from, double to, Generator? generator = null) => Call(Ops.uniform_, this, from, to, generator);
        public Tensor zero_() => Call(Ops.zero_, this);
        public Tensor random_(double from, double to, Generator? generator = null) => Call(Ops.random__from, this, (long)from, (long)to, generator);
        public Tensor zeros_like(ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.zeros_like, this, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor ones_like(ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.ones_like, this, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor empty_like(ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.empty_like, this, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor rand_like(ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.rand_like, this, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor randn_like(ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.randn_like, this, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor full_like(Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.full_like, this, value, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_empty(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_empty, this, size, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_empty(ReadOnlySpan<long> size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_empty, this, size.ToArray(), dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_empty(long size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_empty, this, (long[])[size], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_empty(long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_empty, this, (long[])[rows, columns], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_empty(long dim0, long dim1, long dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_empty, this, (long[])[dim0, dim1, dim2], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_empty(long dim0, long dim1, long dim2, long dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_empty, this, (long[])[dim0, dim1, dim2, dim3], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_zeros(long[] size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_zeros, this, size, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_zeros(ReadOnlySpan<long> size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_zeros, this, size.ToArray(), dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_zeros(long size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_zeros, this, (long[])[size], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_zeros(long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_zeros, this, (long[])[rows, columns], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_zeros(long dim0, long dim1, long dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_zeros, this, (long[])[dim0, dim1, dim2], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_zeros(long dim0, long dim1, long dim2, long dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_zeros, this, (long[])[dim0, dim1, dim2, dim3], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_ones(long size, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_ones, this, (long[])[size], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_ones(long rows, long columns, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_ones, this, (long[])[rows, columns], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_ones(long dim0, long dim1, long dim2, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_ones, this, (long[])[dim0, dim1, dim2], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_ones(long dim0, long dim1, long dim2, long dim3, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_ones, this, (long[])[dim0, dim1, dim2, dim3], dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_full(long[] size, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_full, this, size, value, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_full(ReadOnlySpan<long> size, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_full, this, size.ToArray(), value, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_full(long size, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_full, this, (long[])[size], value, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_full(long rows, long columns, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_full, this, (long[])[rows, columns], value, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_full(long dim0, long dim1, long dim2, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_full, this, (long[])[dim0, dim1, dim2], value, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);
        public Tensor new_full(long dim0, long dim1, long dim2, long dim3, Scalar value, ScalarType? dtype = null, Device? device = null, bool requires_grad = false) => Call(Ops.new_full, this, (long[])[dim0, dim1, dim2, dim3], value, dtype, Native.Arg.None, device).requires_grad_if(requires_grad);

        internal Tensor requires_grad_if(bool requires_grad)
        {
            if (requires_grad) this.requires_grad = true;
            return this;
        }
    }
}
