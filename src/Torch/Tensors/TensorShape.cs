using TorchSharp.Native;
using static TorchSharp.Native.Calls;

namespace TorchSharp;

public static partial class torch
{
    /// <content>
    /// Views, copies, joins and gathers. A view shares its storage with this tensor; negative dimensions count from the end.
    /// </content>
    public partial class Tensor
    {
        public Tensor argwhere() => Call(Ops.argwhere, this);
        public Tensor as_strided(long[] size, long[] strides, long storageOffset = 0) => Call(Ops.as_strided, this, size, strides, storageOffset);
        public Tensor atleast_1d() => Call(Ops.atleast_1d, this);
        public Tensor atleast_2d() => Call(Ops.atleast_2d, this);
        public Tensor atleast_3d() => Call(Ops.atleast_3d, this);
        public Tensor broadcast_to(params long[] shape) => Call(Ops.broadcast_to, this, shape);
        public Tensor[] chunk(long chunks, long dim = 0) => CallList(Ops.chunk, this, chunks, dim);
        public Tensor clone() => Call(Ops.clone, this);
        public Tensor contiguous() => Call(Ops.contiguous, this);
        public Tensor copy_(Tensor source, bool nonBlocking = false) => Call(Ops.copy_, this, source, nonBlocking);
        public Tensor diag(long diagonal = 0) => Call(Ops.diag, this, diagonal);
        public Tensor diag_embed(long offset = 0, long dim1 = -2, long dim2 = -1) => Call(Ops.diag_embed, this, offset, dim1, dim2);
        public Tensor diagflat(long offset = 0) => Call(Ops.diagflat, this, offset);
        public Tensor diagonal(long offset = 0, long dim1 = 0, long dim2 = 1) => Call(Ops.diagonal, this, offset, dim1, dim2);
        public Tensor diagonal_scatter(Tensor src, long offset = 0, long dim1 = 0, long dim2 = 1) => Call(Ops.diagonal_scatter, this, src, offset, dim1, dim2);
        public Tensor expand(ReadOnlySpan<long> sizes, bool isImplicit = false) => Call(Ops.expand, this, sizes.ToArray(), isImplicit);
        public Tensor expand(long[] sizes, bool isImplicit = false) => Call(Ops.expand, this, sizes, isImplicit);
        public Tensor expand(params long[] sizes) => Call(Ops.expand, this, sizes);
        public Tensor expand_as(Tensor other) => Call(Ops.expand_as, this, other);
        public Tensor flatten(long start_dim = 0, long end_dim = -1) => Call(Ops.flatten_using_ints, this, start_dim, end_dim);
        public Tensor flip(params long[] dims) => Call(Ops.flip, this, dims);
        public Tensor fliplr() => Call(Ops.fliplr, this);
        public Tensor flipud() => Call(Ops.flipud, this);
        public Tensor gather(long dim, Tensor index) => Call(Ops.gather, this, dim, index);
        public Tensor index_add(long dim, Tensor index, Tensor source, Scalar alpha) => Call(Ops.index_add, this, dim, index, source, alpha);
        public Tensor index_add_(long dim, Tensor index, Tensor source, Scalar alpha) => Call(Ops.index_add_, this, dim, index, source, alpha);
        public Tensor index_copy(long dim, Tensor index, Tensor source) => Call(Ops.index_copy, this, dim, index, source);
        public Tensor index_copy_(long dim, Tensor index, Tensor source) => Call(Ops.index_copy_, this, dim, index, source);
        public Tensor index_fill(long dim, Tensor index, Scalar value) => Call(Ops.index_fill_int_Scalar, this, dim, index, value);
        public Tensor index_fill_(long dim, Tensor index, Scalar value) => Call(Ops.index_fill__int_Scalar, this, dim, index, value);
        public Tensor index_select(long dim, Tensor index) => Call(Ops.index_select, this, dim, index);
        public Tensor masked_fill(Tensor mask, Scalar value) => Call(Ops.masked_fill_Scalar, this, mask, value);
        public Tensor masked_fill_(Tensor mask, Scalar value) => Call(Ops.masked_fill__Scalar, this, mask, value);
        public Tensor masked_scatter(Tensor mask, Tensor value) => Call(Ops.masked_scatter, this, mask, value);
        public Tensor masked_scatter_(Tensor mask, Tensor value) => Call(Ops.masked_scatter_, this, mask, value);
        public Tensor masked_select(Tensor mask) => Call(Ops.masked_select, this, mask);
        public Tensor moveaxis(long[] source, long[] destination) => Call(Ops.moveaxis_intlist, this, source, destination);
        public Tensor movedim(long[] source, long[] destination) => Call(Ops.movedim_intlist, this, source, destination);
        public Tensor narrow(long dim, long start, long length) => Call(Ops.narrow, this, dim, start, length);
        public Tensor nonzero() => Call(Ops.nonzero, this);
        public Tensor permute(params long[] permutation) => Call(Ops.permute, this, permutation);
        public Tensor repeat(params long[] sizes) => Call(Ops.repeat, this, sizes);
        public Tensor repeat_interleave(Tensor repeats, long? dim = null, long? output_size = null) => Call(Ops.repeat_interleave_self_Tensor, this, repeats, dim, output_size);
        public Tensor repeat_interleave(long repeats, long? dim = null, long? output_size = null) => Call(Ops.repeat_interleave_self_int, this, repeats, dim, output_size);
        public Tensor reshape(params long[] shape) => Call(Ops.reshape, this, shape);
        public Tensor roll(long[] shifts, long[] dims) => Call(Ops.roll, this, shifts, dims);
        public Tensor roll(long[] shifts) => Call(Ops.roll, this, shifts);
        public Tensor roll(ReadOnlySpan<long> shifts, ReadOnlySpan<long> dims = default) => Call(Ops.roll, this, shifts.ToArray(), dims.ToArray());
        public Tensor scatter(long dim, Tensor index, Tensor src) => Call(Ops.scatter_src, this, dim, index, src);
        public Tensor scatter_(long dim, Tensor index, Tensor src) => Call(Ops.scatter__src, this, dim, index, src);
        public Tensor scatter_add(long dim, Tensor index, Tensor src) => Call(Ops.scatter_add, this, dim, index, src);
        public Tensor scatter_add_(long dim, Tensor index, Tensor src) => Call(Ops.scatter_add_, this, dim, index, src);
        public Tensor select(long dim, long index) => Call(Ops.select_int, this, dim, index);
        public Tensor select_scatter(Tensor src, long dim, long index) => Call(Ops.select_scatter, this, src, dim, index);
        public Tensor slice(long dim, long start, long finish, long step) => Call(Ops.slice_Tensor, this, dim, start, finish, step);
        public Tensor slice_scatter(Tensor src, long dim = 0, long? start = null, long? end = null, long step = 1) => Call(Ops.slice_scatter, this, src, dim, start, end, step);
        public Tensor[] split(long size, int dim = 0) => CallList(Ops.split_Tensor, this, size, dim);
        public Tensor[] split(ReadOnlySpan<long> sizes, long dim = 0) => CallList(Ops.split_sizes, this, sizes.ToArray(), dim);
        public Tensor[] split(long[] sizes, long dim = 0) => CallList(Ops.split_sizes, this, sizes, dim);
        public Tensor[] split(params long[] sizes) => CallList(Ops.split_sizes, this, sizes);
        public Tensor swapaxes(long dim0, long dim1) => Call(Ops.swapaxes, this, dim0, dim1);
        public Tensor swapdims(long dim0, long dim1) => Call(Ops.swapdims, this, dim0, dim1);
        public Tensor t() => Call(Ops.t, this);
        public Tensor take(Tensor index) => Call(Ops.take, this, index);
        public Tensor take_along_dim(Tensor indices) => Call(Ops.take_along_dim, this, indices);
        public Tensor take_along_dim(Tensor indices, long dim) => Call(Ops.take_along_dim, this, indices, dim);
        public Tensor[] tensor_split(long size, long dim = 0) => CallList(Ops.tensor_split_sections, this, size, dim);
        public Tensor[] tensor_split(long[] sizes, long dim = 0) => CallList(Ops.tensor_split_indices, this, sizes, dim);
        public Tensor[] tensor_split(Tensor indices, long dim = 0) => CallList(Ops.tensor_split_tensor_indices_or_sections, this, indices, dim);
        public Tensor tile(long[] reps) => Call(Ops.tile, this, reps);
        public Tensor transpose(long dim0, long dim1) => Call(Ops.transpose_int, this, dim0, dim1);
        public Tensor transpose_(long dim0, long dim1) => Call(Ops.transpose_, this, dim0, dim1);
        public Tensor tril(long diagonal = 0) => Call(Ops.tril, this, diagonal);
        public Tensor tril_(long diagonal = 0) => Call(Ops.tril_, this, diagonal);
        public Tensor triu(long diagonal = 0) => Call(Ops.triu, this, diagonal);
        public Tensor triu_(long diagonal = 0) => Call(Ops.triu_, this, diagonal);
        public Tensor[] unbind(long dimension = 0) => CallList(Ops.unbind_int, this, dimension);
        public Tensor unflatten(long dim, params long[] sizes) => Call(Ops.unflatten_int, this, dim, sizes);
        public Tensor unfold(long dimension, long size, long step) => Call(Ops.unfold, this, dimension, size, step);
        public Tensor unsqueeze(long dim) => Call(Ops.unsqueeze, this, dim);
        public Tensor unsqueeze_(long dim) => Call(Ops.unsqueeze_, this, dim);
        public Tensor view(params long[] shape) => Call(Ops.view, this, shape);
        public Tensor view_as(Tensor other) => Call(Ops.view_as, this, other);
        public Tensor expand(Size sizes, bool isImplicit = false) => Call(Ops.expand, this, sizes.Shape, isImplicit);
        public Tensor permute(IEnumerable<long> permutation) => permute(permutation.ToArray());
        public Tensor squeeze(long? dim = null) => dim is { } d ? Call(Ops.squeeze_dim, this, d) : Call(Ops.squeeze, this);
        public Tensor squeeze_(long? dim = null) => dim is { } d ? Call(Ops.squeeze__dim, this, d) : Call(Ops.squeeze_, this);
        public Tensor roll(long shifts, long? dims = null) => Call(Ops.roll, this, (long[])[shifts], dims is { } d ? (long[])[d] : []);
        public Tensor unflatten(long dim, Size sizes) => Call(Ops.unflatten_int, this, dim, sizes.Shape);
        public IList<Tensor> nonzero_as_list() => CallList(Ops.nonzero_numpy, this);

        /// <summary>The transpose of a matrix.</summary>
        public Tensor T => Call(Ops.numpy_T, this);

        /// <summary>The last two dimensions swapped.</summary>
        public Tensor mT => Call(Ops.mT, this);
    }
}
